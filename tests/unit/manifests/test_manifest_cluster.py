"""The port over a directory of manifests."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.manifests import statefiles
from multus.manifests.cluster import ManifestCluster
from multus.networks.nad import Nad
from multus.ports import Pod

if TYPE_CHECKING:
    from pathlib import Path

SOON = 1e12
STATUS = "k8s.v1.cni.cncf.io/network-status"


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """The directory of manifests."""
    made = tmp_path / "manifests"
    made.mkdir()
    return made


def put(manifests: Path, kind: str, name: str, metadata: dict[str, Any] | None = None, **rest: Any) -> None:
    """Write one manifest."""
    version = "v1" if kind == "Pod" else "k8s.cni.cncf.io/v1"
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name, **(metadata or {})}, **rest}
    (manifests / f"{kind}-{name}.json").write_text(json.dumps(body))


def state_of(manifests: Path, name: str) -> dict[str, Any]:
    """The state file of a pod in namespace ``default``."""
    found: dict[str, Any] = json.loads((manifests.parent / "manifests.status" / f"default_{name}.json").read_text())
    return found


def test_pod(manifests: Path) -> None:
    """UID and annotations, only strings."""
    put(manifests, "Pod", "web", {"uid": "u-1", "annotations": {"a": "b", "n": 1}})
    found = ManifestCluster(str(manifests)).pod("default", "web", "", SOON)
    assert found == Pod("default", "web", "u-1", {"a": "b"}, static=False)


@pytest.mark.parametrize(("source", "static"), [("file", True), ("api", False)])
def test_static_pod(manifests: Path, source: str, static: bool) -> None:
    """The kubelet's mark."""
    put(manifests, "Pod", "web", {"annotations": {"kubernetes.io/config.source": source}})
    found = ManifestCluster(str(manifests)).pod("default", "web", "", SOON)
    assert found is not None
    assert (found.uid, found.static) == ("", static)


@pytest.mark.parametrize("metadata", [{}, {"annotations": None}, {"annotations": []}, {"uid": 7}])
def test_pod_with_odd_metadata(manifests: Path, metadata: dict[str, Any]) -> None:
    """Nothing there that can be used."""
    put(manifests, "Pod", "web", metadata)
    assert ManifestCluster(str(manifests)).pod("default", "web", "", SOON) == Pod("default", "web", "", {})


def test_pod_without_manifest(manifests: Path) -> None:
    """It asks for nothing, so it gets the default networks."""
    assert ManifestCluster(str(manifests)).pod("ns", "web", "u-1", SOON) == Pod("ns", "web", "", {})


def test_pod_in_a_broken_manifest(manifests: Path) -> None:
    """It must not start without its networks."""
    (manifests / "web.yaml").write_text("metadata: {name: web\n")
    with pytest.raises(
        errors.ClusterError, match=f"default/web may be in a manifest that is broken: {manifests}/web.yaml"
    ):
        ManifestCluster(str(manifests)).pod("default", "web", "", SOON)


@pytest.mark.parametrize(
    ("namespace", "name"), [("", "web"), ("ns", ""), ("..", "web"), ("ns", "a/b"), ("ns", "\udcff")]
)
def test_impossible_pod_name(manifests: Path, namespace: str, name: str) -> None:
    """No path comes from such a name."""
    with pytest.raises(errors.InvalidEnvironment, match="CNI_ARGS"):
        ManifestCluster(str(manifests)).pod(namespace, name, "", SOON)


def test_network(manifests: Path) -> None:
    """Configuration and resource name."""
    annotations = {"k8s.v1.cni.cncf.io/resourceName": "x/y"}
    put(
        manifests,
        "NetworkAttachmentDefinition",
        "a",
        {"namespace": "ns", "annotations": annotations},
        spec={"config": "{}"},
    )
    assert ManifestCluster(str(manifests)).network("ns", "a", SOON) == Nad("ns", "a", "{}", "x/y")


@pytest.mark.parametrize("rest", [{}, {"spec": None}, {"spec": {}}, {"spec": {"config": ""}}, {"spec": []}])
def test_network_without_config(manifests: Path, rest: dict[str, Any]) -> None:
    """It names a file of confDir then."""
    put(manifests, "NetworkAttachmentDefinition", "a", **rest)
    assert ManifestCluster(str(manifests)).network("default", "a", SOON).config == ""


def test_network_whose_config_is_an_object(manifests: Path) -> None:
    """A likely mistake, as the CRD wants a string."""
    put(manifests, "NetworkAttachmentDefinition", "a", spec={"config": {"type": "bridge"}})
    with pytest.raises(errors.InvalidConfig, match=r"default/a: spec\.config is not a string"):
        ManifestCluster(str(manifests)).network("default", "a", SOON)


def test_missing_network(manifests: Path) -> None:
    """The directory is named, and the broken file that may have it."""
    cluster = ManifestCluster(f"{manifests}/")
    with pytest.raises(errors.NotFound, match=f"'default/a' is in no manifest in {manifests}$"):
        cluster.network("default", "a", SOON)
    (manifests / "x.yaml").write_text("{name: a")
    with pytest.raises(errors.NotFound, match=f"it may be in one that is broken: {manifests}/x.yaml"):
        cluster.network("default", "a", SOON)


@pytest.mark.parametrize("name", ["../x", "\udcff", "a\x00b", "x" * 100_000, ""])
def test_hostile_network_name(manifests: Path, name: str) -> None:
    """Looked for among the contents, never as a path."""
    put(manifests, "NetworkAttachmentDefinition", "a")
    with pytest.raises(errors.NotFound) as caught:
        ManifestCluster(str(manifests)).network("default", name, SOON)
    assert len(caught.value.message) < 1000


def test_status(manifests: Path) -> None:
    """Beside the manifests, whole, with what it belongs to; the manifests stay as they are."""
    put(manifests, "Pod", "web", {"uid": "u-1"})
    before = (manifests / "Pod-web.json").read_bytes()
    cluster = ManifestCluster(str(manifests))
    pod = cluster.pod("default", "web", "", SOON)
    assert pod is not None
    cluster.set_status(pod, "[1]", SOON)
    cluster.set_status(pod, "[2]", SOON)
    state = state_of(manifests, "web")
    assert (state["uid"], state["annotations"]) == ("u-1", {STATUS: "[2]"})
    assert os.listdir(manifests.parent / "manifests.status") == ["default_web.json"]
    assert (manifests / "Pod-web.json").read_bytes() == before


def test_status_of_a_successor(manifests: Path) -> None:
    """A manifest that now describes another pod."""
    put(manifests, "Pod", "web", {"uid": "u-2"})
    with pytest.raises(errors.NotFound, match='"u-1" is gone: its manifest has "u-2"'):
        ManifestCluster(str(manifests)).set_status(Pod("default", "web", "u-1", {}), "[]", SOON)
    assert not (manifests.parent / "manifests.status").exists()


@pytest.mark.parametrize("uid", ["", "u-1"])
def test_status_without_uid_in_the_manifest(manifests: Path, uid: str) -> None:
    """A manifest without UID matches any."""
    put(manifests, "Pod", "web")
    ManifestCluster(str(manifests)).set_status(Pod("default", "web", uid, {}), "[]", SOON)
    assert state_of(manifests, "web")["uid"] == uid


def test_status_of_long_names(manifests: Path) -> None:
    """Names that are too long for a file are still told apart."""
    cluster = ManifestCluster(str(manifests))
    for last in "ab":
        cluster.set_status(Pod("n" * 63, "p" * 252 + last, "", {}), f"[{last}]", SOON)
    written = [json.loads(path.read_text()) for path in (manifests.parent / "manifests.status").iterdir()]
    assert sorted(state["annotations"][STATUS] for state in written) == ["[a]", "[b]"]


def test_status_that_can_not_be_written(manifests: Path) -> None:
    """The path is named; nothing half is left."""
    (manifests.parent / "manifests.status").write_text("a file")
    with pytest.raises(errors.ClusterError, match=r"network-status of default/web: .*default_web\.json: File exists"):
        ManifestCluster(str(manifests)).set_status(Pod("default", "web", "", {}), "[]", SOON)


def test_old_status_files_go(manifests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest stay; events are no status."""
    monkeypatch.setattr(statefiles, "FILES_KEPT", 2)
    cluster = ManifestCluster(str(manifests))
    directory = manifests.parent / "manifests.status"
    cluster.event(Pod("default", "p0", "", {}), "Normal", "R", "m")
    cluster.flush(SOON)
    for number in range(4):
        cluster.set_status(Pod("default", f"p{number}", "", {}), "[]", SOON)
        os.utime(directory / f"default_p{number}.json", ns=(number, number))
    assert sorted(os.listdir(directory)) == ["default_p2.json", "default_p3.json", "events.jsonl"]


def test_events(manifests: Path) -> None:
    """One line each, in order, bounded, when `flush` is called."""
    cluster = ManifestCluster(str(manifests))
    pod = Pod("default", "web", "u-1", {})
    cluster.event(pod, "Normal", "AddedInterface", "Add eth0")
    cluster.event(pod, "Warning", "NoNetworkFound", "line\nbreak\udcff" + "x" * 5000)
    assert not (manifests.parent / "manifests.status").exists()
    cluster.flush(SOON)
    path = manifests.parent / "manifests.status" / "events.jsonl"
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first.items() >= {"pod": "web", "uid": "u-1", "reason": "AddedInterface", "message": "Add eth0"}.items()
    assert len(second["message"]) == statefiles.MESSAGE_LIMIT
    assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0


def test_events_file_is_bounded(manifests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is moved aside when it is full, over the one before."""
    monkeypatch.setattr(statefiles, "EVENTS_LIMIT", 300)
    cluster = ManifestCluster(str(manifests))
    for number in range(20):
        cluster.event(Pod("default", "web", "", {}), "Normal", "R", str(number))
        cluster.flush(SOON)
    directory = manifests.parent / "manifests.status"
    assert sorted(os.listdir(directory)) == ["events.jsonl", "events.jsonl.1"]
    assert all((directory / name).stat().st_size < 600 for name in os.listdir(directory))
    assert json.loads((directory / "events.jsonl").read_text().splitlines()[-1])["message"] == "19"


def test_event_that_can_not_be_written(manifests: Path) -> None:
    """Nothing is raised, nothing fails."""
    (manifests.parent / "manifests.status").write_text("a file")
    cluster = ManifestCluster(str(manifests))
    cluster.event(Pod("default", "web", "", {}), "Normal", "R", "m")
    cluster.flush(SOON)
    assert (manifests.parent / "manifests.status").read_text() == "a file"


def test_json_manifests_load_no_yaml_parser(manifests: Path) -> None:
    """Start-up time: the YAML parser is loaded for YAML only."""
    put(manifests, "Pod", "web")
    code = f"""
import sys
sys.path[:0] = {[entry for entry in sys.path if entry.endswith("src")]!r}
from multus.manifests.cluster import ManifestCluster
assert ManifestCluster({str(manifests)!r}).pod("default", "web", "", 0.0) is not None
print([name for name in ("yaml", "dataclasses", "pathlib", "socket", "hashlib") if name in sys.modules])
"""
    output = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout == "[]\n"
