"""The kubelet's checkpoint, in both of its shapes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multus import errors
from multus.devices import checkpoint, holdings

if TYPE_CHECKING:
    from pathlib import Path


def entry(ids: Any, *, uid: str = "uid-1", container: str = "main", resource: str = "v/vf") -> dict[str, Any]:
    """One entry of the file."""
    return {"PodUID": uid, "ContainerName": container, "ResourceName": resource, "DeviceIDs": ids, "AllocResp": "eA=="}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the checkpoint is."""
    return tmp_path / "kubelet_internal_checkpoint"


def write(path: Path, *entries: Any) -> str:
    """A checkpoint with these entries."""
    data = {"PodDeviceEntries": list(entries), "RegisteredDevices": {"v/vf": ["1", "2"]}}
    path.write_text(json.dumps({"Data": data, "Checksum": 18446744073709551615}))
    return str(path)


@pytest.mark.parametrize("ids", [["2", "1"], {"-1": ["2"], "1": ["1"]}, {"0": ["2", "1"], "1": None}])
def test_both_shapes(path: Path, ids: Any) -> None:
    """A list, as kubelets before 1.20 wrote it, and NUMA nodes: the ids of this pod alone, in order."""
    name = write(path, entry(["9"], uid="uid-2"), entry(ids))
    assert holdings.by_resource(checkpoint.of(name, "uid-1")) == {"v/vf": ["1", "2"]}


def test_containers_stay_apart(path: Path) -> None:
    """The file has them in any order; ours is that of their names, which doesn't change between two readings."""
    entries = [entry(["1"], container="b"), entry(["9"], container="a"), entry(["g"], resource="v/gpu")]
    for one in (entries, entries[::-1]):
        found = holdings.by_resource(checkpoint.of(write(path, *one), "uid-1"))
        assert found == {"v/vf": ["9", "1"], "v/gpu": ["g"]}


def test_unknown_pod(path: Path) -> None:
    """It holds nothing."""
    assert checkpoint.of(write(path, entry(["1"])), "uid-7") == []


def test_no_pods(path: Path) -> None:
    """A node that never gave a device: Go writes null."""
    path.write_text('{"Data": {"PodDeviceEntries": null, "RegisteredDevices": {}}, "Checksum": 1}')
    assert checkpoint.of(str(path), "uid-1") == []


def test_without_uid(path: Path) -> None:
    """Entries have nothing else to tell pods by."""
    with pytest.raises(errors.InvalidConfig, match="this pod has none"):
        checkpoint.of(write(path, entry(["1"])), "")


def test_missing_file(path: Path) -> None:
    """The error has its path."""
    with pytest.raises(errors.IoFailure, match=f"error reading file {path}: No such file"):
        checkpoint.of(str(path), "uid-1")


def test_huge_file(path: Path) -> None:
    """Not read at all."""
    with path.open("wb") as file:
        file.truncate(checkpoint.MAX_BYTES + 1)
    with pytest.raises(errors.IoFailure, match="larger than"):
        checkpoint.of(str(path), "uid-1")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Data": []}', '{"Data": {"PodDeviceEntries": {}}}', "\0"])
def test_bad_files(path: Path, text: str) -> None:
    """Anything else is an error that names the file."""
    path.write_text(text)
    with pytest.raises(errors.DecodeError, match=str(path)):
        checkpoint.of(str(path), "uid-1")


@pytest.mark.parametrize("ids", ["1", 1, [1], {"0": "1"}, {"0": [[]]}])
def test_bad_ids(path: Path, ids: Any) -> None:
    """Ids that are none; in another pod's entry they are no concern of ours."""
    with pytest.raises(errors.DecodeError, match="DeviceIDs must be a list of strings"):
        checkpoint.of(write(path, entry(ids)), "uid-1")
    assert checkpoint.of(str(path), "uid-2") == []


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["PodUID", "DeviceIDs", "ContainerName"]), st.sampled_from(["uid-1", 1, None, []]))
)
def test_any_entry(path: Path, raw: dict[str, Any]) -> None:
    """Whatever an entry holds, nothing but errors.DecodeError is raised."""
    try:
        checkpoint.of(write(path, raw), "uid-1")
    except errors.DecodeError:
        pass
