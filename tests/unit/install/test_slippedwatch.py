"""What happens to pods that started without Multus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.cni import arguments, config, results
from multus.host import clock, figures, records
from multus.host import results as result_files
from multus.install import settings, slippedwatch
from multus.install.settings import Settings
from multus.networks import record, selection
from multus.ports import CachedResult
from unit.install.test_slipped import pod

if TYPE_CHECKING:
    from pathlib import Path

    from multus.cni.rawjson import Json

CONF = '{"cniVersion": "1.0.0", "name": "net", "type": "bridge"}'
NOBODY = arguments.PodArgs()

OWNED = {"ownerReferences": [{"kind": "ReplicaSet", "controller": True}]}


class Server:
    """A client of an API server with these pods; `refusal` is its answer to evictions."""

    def __init__(self, *pods: Json) -> None:
        self.pods = list(pods)
        self.events: list[Json] = []
        self.evicted: list[str] = []
        self.refusal = ""
        self.patches: list[Json] = []

    def fetch(self, what: str, path: str, deadline: float) -> Json:
        assert path.endswith("fieldSelector=spec.nodeName%3Dnode1")
        return {"items": self.pods}

    def create_event(self, namespace: str, event: Json, deadline: float) -> None:
        self.events.append(event)

    def evict(self, namespace: str, name: str, uid: str, deadline: float) -> str:
        assert (namespace, uid) == ("ns", f"uid-{name}")
        if not self.refusal:
            self.evicted.append(name)
        return self.refusal

    def patch_pod_status(self, namespace: str, name: str, patch: Json, deadline: float) -> str:
        self.patches.append(patch)
        return ""

    def reasons(self) -> list[str]:
        return [event["reason"] for event in self.events]


class Looking:
    """A watch over a node's directories."""

    def __init__(self, server: Any, directory: Path, policy: str = settings.REPORT, node: str = "node1") -> None:
        told = Settings(conf_dir=str(directory), cni_dir=str(directory / "cni"), slipped_pods=policy)
        self.directory = directory
        self.figures = figures.Figures(told.state_dir)
        self.watch = slippedwatch.Watch(server, node, told, self.figures)

    def look(self, times: int = 1) -> list[int]:
        return [len(self.watch.look()) for _ in range(times)]

    def figure(self, name: str) -> float:
        """As the daemon reads it."""
        return figures.read(str(self.directory), name)


def test_reported_once_and_when_it_is_sure(tmp_path: Path) -> None:
    """At the second look, with an event on the pod that names the networks; not again. It is a figure for as long as
    it is so, and no policy but one evicts."""
    server = Server(pod(metadata=OWNED))
    looking = Looking(server, tmp_path)
    assert looking.look(4) == [0, 1, 1, 1]
    (event,) = server.events
    assert (event["reason"], event["involvedObject"]["name"]) == ("NetworksMissing", "pod")
    assert "(one)" in event["message"]
    assert looking.figure(figures.WITHOUT_NETWORKS) == 1
    server.pods = []
    looking.look()
    assert looking.figure(figures.WITHOUT_NETWORKS) == 0
    assert server.evicted == []


def test_once_is_chance(tmp_path: Path) -> None:
    """What is seen only now and then is not reported."""
    server = Server(pod(metadata=OWNED))
    looking = Looking(server, tmp_path, settings.EVICT)
    for _ in range(3):
        server.pods = [pod(metadata=OWNED)]
        assert looking.look() == [0]
        server.pods = []
        assert looking.look() == [0]
    assert (server.events, server.evicted) == ([], [])


def test_name_that_is_none(tmp_path: Path) -> None:
    """What is no node's name never becomes part of a path."""
    with pytest.raises(errors.InvalidConfig):
        Looking(Server(), tmp_path, node="node1&x=y").look()


def test_evicted(tmp_path: Path) -> None:
    """By policy, once it is sure, and it is said on the pod; it is counted once."""
    server = Server(pod(metadata=OWNED))
    looking = Looking(server, tmp_path, settings.EVICT)
    looking.look(2)
    assert server.evicted == ["pod"]
    assert server.reasons() == ["NetworksMissing", "EvictedForNetworks"]
    assert "it is evicted" in server.events[0]["message"]
    looking.look(2)
    assert looking.figure(figures.EVICTED) == 1


def test_nobody_would_make_another_one(tmp_path: Path) -> None:
    """A pod without a controller is reported, never evicted."""
    server = Server(pod())
    Looking(server, tmp_path, settings.EVICT).look(3)
    assert server.evicted == []
    assert server.reasons() == ["NetworksMissing"]


def test_disruption_budget(tmp_path: Path) -> None:
    """An eviction that is refused is said once, and tried at each look."""
    server = Server(pod(metadata=OWNED))
    server.refusal = "would violate the pod's disruption budget"
    looking = Looking(server, tmp_path, settings.EVICT)
    looking.look(4)
    assert server.reasons() == ["NetworksMissing", "NotEvicted"]
    assert "disruption budget" in server.events[1]["message"]
    assert looking.figure(figures.EVICTED) == 0
    server.refusal = ""
    looking.look()
    assert server.evicted == ["pod"]


def test_records_that_name_no_pod(tmp_path: Path) -> None:
    """Beside records of upstream's making, one of which may be the pod's, it is reported and not evicted."""
    records.RecordFiles(str(tmp_path / "cni"), clock.SystemClock()).save(
        "upstreams", record.Record((record.Entry(config.loads(CONF, "it"), "n", "eth0", (), {}, True, ""),), NOBODY)
    )
    server = Server(pod(metadata=OWNED))
    Looking(server, tmp_path, settings.EVICT).look(3)
    assert server.evicted == []
    assert server.reasons() == ["NetworksMissing"]


def test_damaged_record(tmp_path: Path) -> None:
    """A pod whose record is lost, and whose cached results are there, has its networks."""
    attach(tmp_path)
    (tmp_path / "cni/sandbox").write_text("{")
    server = Server(pod(metadata=OWNED))
    Looking(server, tmp_path, settings.EVICT).look(4)
    assert (server.evicted, server.events) == ([], [])


def attach(directory: Path, *, result: bool = True, **more: Any) -> None:
    """A record of the pod with one network beside the default one."""
    found = results.parse(
        b'{"cniVersion": "1.0.0", "interfaces": [{"name": "%s", "sandbox": "/x"}], "ips": [{"address": "10.1.1.2/24",'
        b' "interface": 0}]}' % b"eth0",
        "1.0.0",
        "it",
    )
    entries = []
    for number, name in enumerate(("default", "one")):
        conf = config.loads(json.dumps({"cniVersion": "1.0.0", "name": name, "type": "bridge"}), "it")
        ifname = f"net{number}" if number else "eth0"
        args = (("K8S_POD_NAMESPACE", "ns"), ("K8S_POD_NAME", "pod"), ("K8S_POD_UID", "uid-pod"))
        entries.append(record.Entry(conf, f"ns/{name}", ifname, args, {}, not number, "/x", **more))
        if result or not number:
            result_files.ResultFiles(str(directory / "cni")).save(
                CachedResult(name, "sandbox", ifname, "/x", conf, args, {}, found)
            )
    kept = record.Record(tuple(entries), arguments.PodArgs("ns", "pod", "sandbox", "uid-pod"))
    records.RecordFiles(str(directory / "cni"), clock.SystemClock()).save("sandbox", kept)


def test_status_is_written_again(tmp_path: Path) -> None:
    """A pod on record that lacks its network-status gets it at the second look, of this very pod; it is not reported
    and never evicted."""
    attach(tmp_path)
    server = Server(pod(metadata=OWNED))
    Looking(server, tmp_path, settings.EVICT).look(2)
    (patch,) = server.patches
    assert patch["metadata"]["uid"] == "uid-pod"
    status = json.loads(patch["metadata"]["annotations"][selection.STATUS])
    assert [(one["name"], one.get("default", False), one["ips"]) for one in status] == [
        ("ns/default", True, ["10.1.1.2"]),
        ("ns/one", False, ["10.1.1.2"]),
    ]
    assert (server.events, server.evicted) == ([], [])


@pytest.mark.parametrize("more", [{"result": False}, {"failed": True}, {"asked": {"deviceID": "0000:00:01.0"}}])
def test_a_part_is_no_status(tmp_path: Path, more: dict[str, Any]) -> None:
    """Where not all is known of its networks, none is written; and it is not evicted for that."""
    attach(tmp_path, **more)
    server = Server(pod(metadata=OWNED))
    Looking(server, tmp_path, settings.EVICT).look(3)
    assert (server.patches, server.events, server.evicted) == ([], [], [])
