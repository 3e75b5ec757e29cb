"""Reflectors and lookups against API servers: the tests' own, which can misbehave, and a real one."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.kubernetes import connect, watches
from multus.kubernetes.backoff import Backoff
from multus.kubernetes.cluster import KubernetesCluster
from multus.kubernetes.streaming import StreamTransport
from multus.kubernetes.watchstream import WatchStream
from support.apiserver import ApiServer, Fault, failing
from support.proxy import ConnectProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multus.kubernetes.reflector import Reflector
    from multus.kubernetes.watching import WatchingCluster

    Open = Callable[..., WatchingCluster]

pytestmark = pytest.mark.api

NETWORKS = "k8s.v1.cni.cncf.io/networks"
WATCH = "watch=1"


def eventually(holds: Callable[[], Any]) -> None:
    """Wait until it does; the limit is for defects only."""
    latest = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < latest, "never happened"
        time.sleep(0.01)


@pytest.fixture
def open_watching(tmp_path: Path, soon: float) -> Iterator[Open]:
    """Makes a cluster that watches, with short pauses; `start=False` for one that is not started."""
    made: list[tuple[WatchingCluster, bool]] = []

    def open_(
        server: Any,
        *,
        start: bool = True,
        node: str = "node-1",
        kubeconfig: dict[str, Any] | None = None,
        **settings: Any,
    ) -> WatchingCluster:
        path = server.write_kubeconfig(tmp_path, **(kubeconfig or {}))
        cluster = connect.watching(path, {}, node=node, **settings)
        assert cluster is not None
        for reflector in cluster.reflectors:
            reflector._backoff = Backoff(0.01, 0.05)
        if start:
            cluster.start()
            assert cluster.wait(soon)
        made.append((cluster, start))
        return cluster

    yield open_
    for cluster, _ in made:
        assert cluster.stop(time.monotonic() + 20)


def uid_of(cluster: WatchingCluster, name: str) -> str:
    """The UID under which the pod is known; "" when it is not."""
    assert cluster._pods is not None
    known = cluster._pods.get(f"default/{name}")
    return known.uid if known else ""


def config_of(cluster: WatchingCluster, name: str) -> Any:
    """What is known of the definition."""
    return cluster._networks.get(f"default/{name}")


def gets(server: ApiServer) -> list[str]:
    """The paths of single objects that were read."""
    return [path for method, path in server.requests if method == "GET" and "?" not in path]


def watched(server: ApiServer, resource: str) -> list[str]:
    """The resourceVersions from which `resource` was watched."""
    paths = [path for _, path in server.requests if f"/{resource}?" in path and WATCH in path]
    return [path.partition("resourceVersion=")[2].partition("&")[0] for path in paths]


def lists(server: ApiServer, resource: str) -> int:
    """How many pages of `resource` were asked for."""
    return sum(f"/{resource}?" in path and WATCH not in path for _, path in server.requests)


# ── any server ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_there(backend: Any, open_watching: Open, soon: float) -> None:
    """The first list: this node's pods with the annotations that count, all definitions."""
    config = json.dumps({"cniVersion": "1.0.0", "type": "bridge", "big": 10**20})
    raw = backend.add_pod("here", annotations={NETWORKS: "a", "other": "x"}, node="node-1")
    backend.add_pod("elsewhere", node="node-2")
    backend.add_network("known", config, annotations={"k8s.v1.cni.cncf.io/resourceName": "x/y"})
    cluster = open_watching(backend)
    pod = cluster.pod("default", "here", raw["metadata"]["uid"], soon)
    assert pod is not None
    assert (pod.uid, dict(pod.annotations), pod.static) == (raw["metadata"]["uid"], {NETWORKS: "a"}, False)
    assert uid_of(cluster, "elsewhere") == ""
    nad = cluster.network("default", "known", soon)
    assert (nad.config, nad.resource_name) == (config, "x/y")


def test_what_changes(backend: Any, open_watching: Open) -> None:
    """Pods and definitions come, change and go without being asked for."""
    cluster = open_watching(backend)
    raw = backend.add_pod("moving", node="node-1")
    eventually(lambda: uid_of(cluster, "moving") == raw["metadata"]["uid"])
    again = backend.add_pod("moving", annotations={NETWORKS: "b"}, node="node-1")
    eventually(lambda: uid_of(cluster, "moving") == again["metadata"]["uid"])
    backend.annotate("moving", {NETWORKS: "c"})
    eventually(lambda: cluster._pods and cluster._pods.get("default/moving").annotations == {NETWORKS: "c"})  # type: ignore[union-attr]
    backend.remove_pod("moving")
    eventually(lambda: uid_of(cluster, "moving") == "")
    backend.add_network("coming", '{"type": "one"}')
    eventually(lambda: config_of(cluster, "coming") == '{"type": "one"}')
    backend.remove_network("coming")
    eventually(lambda: config_of(cluster, "coming") is None)


def test_many_pages(backend: Any, open_watching: Open) -> None:
    """More objects than a page holds."""
    for number in range(watches.NETWORKS.page * 2 + 1):
        backend.add_network(f"many-{number}", f'{{"number": {number}}}')
    cluster = open_watching(backend)
    assert [config_of(cluster, f"many-{number}") for number in (0, 100, 200)] == [
        f'{{"number": {number}}}' for number in (0, 100, 200)
    ]


def test_lookups_that_miss(backend: Any, open_watching: Open, soon: float) -> None:
    """A pod of another node and what exists nowhere are looked for at the server."""
    backend.add_pod("abroad", node="node-2")
    cluster = open_watching(backend)
    found = cluster.pod("default", "abroad", "", soon)
    assert found is not None
    assert cluster.pod("default", "nobody", "", soon) is None
    with pytest.raises(errors.NotFound):
        cluster.network("default", "nothing", soon)


def test_writing(backend: Any, open_watching: Open, soon: float) -> None:
    """Status and events arrive; events by the time it has stopped."""
    backend.add_pod("writing", node="node-1")
    cluster = open_watching(backend)
    pod = cluster.pod("default", "writing", "", soon)
    assert pod is not None
    cluster.set_status(pod, "[1]", soon)
    cluster.event(pod, "Normal", "AddedInterface", "Add net1")
    assert cluster.stop(soon)
    assert backend.annotations_of("writing")["k8s.v1.cni.cncf.io/network-status"] == "[1]"
    assert [event["message"] for event in backend.events_of(pod.uid)] == ["Add net1"]
    assert cluster.events.dropped == 0


def test_stopping_ends_a_watch_that_waits(backend: Any, open_watching: Open, soon: float) -> None:
    """All threads are gone, although the server says nothing."""
    cluster = open_watching(backend)
    assert cluster.stop(soon)
    ours = [thread.name for thread in threading.enumerate() if thread.name.startswith(("reflector-", "events"))]
    assert ours == []


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_warm_path(server: ApiServer, open_watching: Open, soon: float) -> None:
    """One ADD's worth of lookups and writes is one PATCH and one event."""
    raw = server.add_pod("warm", node="node-1")
    server.add_network("net", "{}")
    cluster = open_watching(server)
    before = len(server.requests)
    pod = cluster.pod("default", "warm", raw["metadata"]["uid"], soon)
    assert pod is not None
    cluster.network("default", "net", soon)
    cluster.set_status(pod, "[]", soon)
    cluster.event(pod, "Normal", "AddedInterface", "x")
    eventually(lambda: server.events)
    assert [method for method, path in server.requests[before:] if WATCH not in path] == ["PATCH", "POST"]


def test_another_uid_costs_one_get(server: ApiServer, open_watching: Open, soon: float) -> None:
    """The call means another pod than the known one."""
    server.add_pod("twice", node="node-1")
    cluster = open_watching(server)
    found = cluster.pod("default", "twice", "another", soon)
    assert found is not None
    assert gets(server) == ["/api/v1/namespaces/default/pods/twice"]


def test_static_pods_are_exempt(server: ApiServer, open_watching: Open, soon: float) -> None:
    """Their UID in the API is never the call's."""
    server.add_pod("mirror", annotations={"kubernetes.io/config.source": "file"}, node="node-1")
    cluster = open_watching(server)
    found = cluster.pod("default", "mirror", "the runtime's", soon)
    assert found is not None
    assert found.static
    assert gets(server) == []


def test_before_the_first_list(server: ApiServer, open_watching: Open, soon: float) -> None:
    """Lookups are live as long as nothing is known."""
    server.add_pod("early", node="node-1")
    server.add_network("early", "{}")
    cluster = open_watching(server, start=False)
    assert cluster.pod("default", "early", "", soon)
    assert cluster.network("default", "early", soon).config == "{}"
    assert len(gets(server)) == 2


def test_without_a_node(server: ApiServer, open_watching: Open, soon: float) -> None:
    """The pods of a whole cluster are not watched unless that is asked for."""
    server.add_pod("any", node="node-7")
    cluster = open_watching(server, node="")
    assert cluster.pod("default", "any", "", soon)
    assert lists(server, "pods") == 0
    assert uid_of(open_watching(server, node="", watch_all_pods=True), "any")


def test_one_watch_each(server: ApiServer, open_watching: Open) -> None:
    """One for pods, one for definitions, and bookmarks are asked for."""
    open_watching(server)
    eventually(lambda: watched(server, "pods") and watched(server, "network-attachment-definitions"))
    paths = [path for _, path in server.requests if WATCH in path]
    assert len(paths) == 2
    assert all("allowWatchBookmarks=true" in path and "timeoutSeconds=" in path for path in paths)


def test_observed(server: ApiServer, open_watching: Open, soon: float) -> None:
    """Each exchange is told, with its verb, resource and status."""
    seen: list[tuple[str, str, int]] = []

    def observe(verb: str, resource: str, code: int, seconds: float) -> None:
        assert seconds >= 0
        seen.append((verb, resource, code))

    cluster = open_watching(server, observe=observe)
    assert cluster.pod("default", "none", "", soon) is None
    eventually(lambda: len(seen) >= 5)
    assert set(seen) == {
        ("list", "pods", 200),
        ("watch", "pods", 200),
        ("list", "network-attachment-definitions", 200),
        ("watch", "network-attachment-definitions", 200),
        ("get", "pods", 404),
    }


# ── a server that is away or misbehaves ─────────────────────────────────────────────────────────────────────────────


def test_server_away(server: ApiServer, open_watching: Open, soon: float) -> None:
    """What is known stays known; a pod without the annotation is one of that."""
    raw = server.add_pod("plain", node="node-1")
    server.add_network("net", "{}")
    cluster = open_watching(server)
    server.script(*[Fault(act="close")] * 1000)
    server.drop_connections()
    pod = cluster.pod("default", "plain", raw["metadata"]["uid"], soon)
    assert pod is not None
    assert pod.annotations == {}
    assert cluster.network("default", "net", soon).config == "{}"
    with pytest.raises(errors.ClusterError):
        cluster.pod("default", "unknown", "", time.monotonic() + 0.3)


def test_resumes_where_it_was(server: ApiServer, open_watching: Open) -> None:
    """A dropped watch goes on from the last version, also one that only a bookmark told, without a list."""
    cluster = open_watching(server)
    server.add_network("one", "{}")
    eventually(lambda: config_of(cluster, "one") == "{}")
    server.history.bookmark("network-attachment-definitions")
    version = str(server.history.version)
    eventually(lambda: cluster._networks._version == version)
    pages = lists(server, "network-attachment-definitions")
    server.drop_connections()
    server.add_network("two", "{}")
    eventually(lambda: config_of(cluster, "two") == "{}")
    assert watched(server, "network-attachment-definitions")[-1] == version
    assert lists(server, "network-attachment-definitions") == pages


@pytest.mark.parametrize("how", ["event", "status"])
def test_relists_on_410(server: ApiServer, open_watching: Open, how: str) -> None:
    """What happened in between is found by a list: come, gone and changed."""
    server.add_network("stays", "{}")
    server.add_network("goes", "{}")
    cluster = open_watching(server)
    eventually(lambda: watched(server, "network-attachment-definitions"))
    del server.networks["default", "goes"]  # without a word to watches
    server.networks["default", "stays"]["spec"]["config"] = '{"new": 1}'
    if how == "status":
        server.script(failing(410, "Expired")._replace(where="network-attachment-definitions?watch=1"))
    else:
        server.history.expire()
    server.drop_connections()
    eventually(lambda: config_of(cluster, "stays") == '{"new": 1}')
    eventually(lambda: config_of(cluster, "goes") is None)


def test_list_that_expires_between_pages(server: ApiServer, open_watching: Open) -> None:
    """It begins anew; nothing is synced before one is complete."""
    for number in range(250):
        server.add_network(f"n{number}", "{}")
    server.script(failing(410, "Expired")._replace(where="continue="))
    cluster = open_watching(server)
    assert cluster._networks.size() == 250
    assert lists(server, "network-attachment-definitions") == 2 + 3


LINE = (
    b'{"type": "ADDED", "object": {"metadata": {"namespace": "default", "name": "%s"%s}, "spec": {"config": "{}"}}}\n'
)
VERSIONED = LINE % (b"scripted", b', "resourceVersion": "101"')


@pytest.mark.parametrize(
    "fault",
    [
        failing(500),
        failing(429, retry_after="1"),
        failing(403, "Forbidden"),
        Fault(act="reset"),
        Fault(act="close"),
        Fault(act="half"),
        Fault(act="stream"),
        Fault(act="cut"),
        Fault(200, b"not chunked, not JSON\n"),
        Fault(act="stream", body=b'{"type": "ADDED"'),
        Fault(act="cut", body=LINE % (b"scripted", b"") + VERSIONED[:40]),
        Fault(act="stream", body=b"[]\n"),
        Fault(act="stream", body=b'{"type": "ERROR", "object": {"code": 500, "message": "etcd"}}\n'),
        Fault(act="stream", body=b'{"type": "ADDED", "object": {"metadata": 7}}\n{"type": "?", "object": {}}\n'),
    ],
    ids=lambda fault: f"{fault.status} {fault.act} {fault.body[:20]!r}",
)
def test_goes_on_after(server: ApiServer, open_watching: Open, fault: Fault) -> None:
    """Whatever happens to a watch, the next one tells what came since."""
    server.script(fault._replace(where="network-attachment-definitions?watch=1"))
    cluster = open_watching(server)
    server.add_network("after", '{"a": 1}')
    eventually(lambda: config_of(cluster, "after") == '{"a": 1}')
    assert len(watched(server, "network-attachment-definitions")) > 1


@pytest.mark.parametrize(
    "fault", [failing(500), failing(503), Fault(act="half"), Fault(200, b"[1]"), Fault(act="reset")]
)
def test_lists_again_after(server: ApiServer, open_watching: Open, fault: Fault) -> None:
    """A list that fails is made again."""
    server.add_network("there", "{}")
    server.script(*[fault._replace(where="network-attachment-definitions?limit")] * 3)
    assert config_of(open_watching(server), "there") == "{}"


def test_half_a_line_is_told_again(server: ApiServer, open_watching: Open) -> None:
    """What came before the half line counts, and the next watch begins right behind it."""
    fault = Fault(act="cut", body=VERSIONED + VERSIONED[:40], where="network-attachment-definitions?watch=1")
    server.script(fault)
    cluster = open_watching(server)
    eventually(lambda: config_of(cluster, "scripted") == "{}")
    eventually(lambda: len(watched(server, "network-attachment-definitions")) > 1)
    assert watched(server, "network-attachment-definitions")[1] == "101"


def test_a_silent_server_is_left(server: ApiServer, tmp_path: Path) -> None:
    """A watch that says nothing beyond the time it was asked to last is begun anew."""
    live = connect.cluster(server.write_kubeconfig(tmp_path), {}, long_running=True)
    assert live is not None
    settings = live._client.settings
    stream = WatchStream(
        settings,
        lambda endpoint, identity, cutter: StreamTransport(endpoint, identity, "", cutter),
        watches.NETWORKS,
        watch_seconds=0.1,
        grace=0.1,
    )
    reflector: Reflector[Any] = watches.networks(stream)
    reflector._backoff = Backoff(0.01, 0.05)
    server.script(Fault(act="silent", where=WATCH))
    reflector.start()
    try:
        eventually(lambda: len(watched(server, "network-attachment-definitions")) > 1)
    finally:
        assert reflector.stop(time.monotonic() + 20)
        live.close()


@pytest.mark.parametrize("act", ["silent", "mute"])
def test_stopping_beside_a_silent_server(server: ApiServer, open_watching: Open, act: str) -> None:
    """In the middle of a body, and before there is even a head; by itself either would take longer."""
    server.script(*[Fault(act=act, where="limit=")] * 2)
    cluster = open_watching(server, start=False)
    cluster.start()
    eventually(lambda: len(server.requests) == 2)
    assert cluster.stop(time.monotonic() + 15)


def test_token_renewed(server: ApiServer, open_watching: Open, tmp_path: Path) -> None:
    """A kubeconfig that was rewritten with another token is read when the old one is refused."""
    cluster = open_watching(server)
    server.token = "token-2"
    server.write_kubeconfig(tmp_path)
    server.drop_connections()
    server.add_network("new", "{}")
    eventually(lambda: config_of(cluster, "new") == "{}")


def test_token_file_renewed(server: ApiServer, open_watching: Open, tmp_path: Path) -> None:
    """A projected token is replaced each hour; no kubeconfig tells."""
    (tmp_path / "token").write_text(server.token)
    cluster = open_watching(server, kubeconfig={"user": {"tokenFile": str(tmp_path / "token")}})
    server.token = "token-2"
    (tmp_path / "next").write_text(server.token)
    (tmp_path / "next").replace(tmp_path / "token")
    server.drop_connections()
    server.add_network("new", "{}")
    eventually(lambda: config_of(cluster, "new") == "{}")


def test_client_certificate_renewed(server: ApiServer, open_watching: Open, tmp_path: Path) -> None:
    """Files under the same names; one that can't be used yet stops nothing."""
    names = {name: tmp_path / name for name in ("client-certificate", "client-key")}

    def write() -> None:
        for path, data in zip(names.values(), server.client_certificate(), strict=True):
            path.write_bytes(data)

    write()
    cluster = open_watching(server, kubeconfig={"user": {name: str(path) for name, path in names.items()}})
    names["client-key"].write_bytes(b"")
    server.drop_connections()
    server.add_network("between", "{}")
    eventually(lambda: config_of(cluster, "between") == "{}")
    write()
    server.drop_connections()
    server.add_network("after", "{}")
    eventually(lambda: config_of(cluster, "after") == "{}")


def test_through_a_proxy(server: ApiServer, open_watching: Open, soon: float) -> None:
    """Watches too, and they can be stopped."""
    with ConnectProxy() as proxy:
        cluster = open_watching(server, kubeconfig={"cluster": {"proxy-url": f"http://{proxy.address}"}})
        server.add_network("behind", "{}")
        eventually(lambda: config_of(cluster, "behind") == "{}")
        assert cluster.stop(soon)
    assert set(proxy.targets) == {f"127.0.0.1:{server.port}"}


def test_without_tls(open_watching: Open, soon: float) -> None:
    """As a local `kubectl proxy` offers it."""
    with ApiServer(tls=False) as server:
        cluster = open_watching(server)
        server.add_network("plain", "{}")
        eventually(lambda: config_of(cluster, "plain") == "{}")
        assert cluster.stop(soon)


def test_large_objects(server: ApiServer, open_watching: Open) -> None:
    """A page of objects that are too many bytes together is asked for in smaller ones; what is too large to keep is
    read each time."""
    for number in range(30):
        server.add_network(f"large-{number}", "x" * (1 << 19))
    server.add_network("small", "{}")
    cluster = open_watching(server)
    assert cluster._networks.size() == 1
    assert len(cluster.network("default", "large-3", time.monotonic() + 30).config) == 1 << 19


def test_events_wait_for_the_server(server: ApiServer, open_watching: Open, soon: float) -> None:
    """An event that can't be sent now is sent later, once."""
    server.add_pod("patient", node="node-1")
    cluster = open_watching(server)
    cluster.events._backoff = Backoff(0.01, 0.05)
    pod = cluster.pod("default", "patient", "", soon)
    assert pod is not None
    server.script(*[failing(500)._replace(where="/events")] * 7)
    cluster.event(pod, "Normal", "Later", "x")
    eventually(lambda: server.events)
    assert [event["reason"] for event in server.events] == ["Later"]


def test_live_only_cluster_is_what_it_was(server: ApiServer, tmp_path: Path, soon: float) -> None:
    """The cluster of one-shot processes has nothing of this."""
    cluster = connect.cluster(server.write_kubeconfig(tmp_path), {}, long_running=True)
    assert isinstance(cluster, KubernetesCluster)
    assert cluster.pod("default", "nobody", "", soon) is None
    assert [path for _, path in server.requests] == ["/api/v1/namespaces/default/pods/nobody"]
    cluster.close()
