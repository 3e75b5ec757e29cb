"""What is left to the shim when Multus is uninstalled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.cni import arguments, config, rawjson, results
from multus.execproto import frames
from multus.host import clock, records
from multus.host import results as result_files
from multus.install import lastorders
from multus.networks import record
from multus.ports import CachedResult

if TYPE_CHECKING:
    from pathlib import Path

    from multus.execproto.frames import Frame

DEFAULT = '{"cniVersion": "1.0.0", "name": "cluster", "plugins": [{"type": "bridge"}, {"type": "portmap"}]}'
FURTHER = '{"cniVersion": "1.0.0", "name": "more", "type": "macvlan"}'


def attach(cni_dir: Path, container_id: str, *confs: str, recorded: bool = True) -> None:
    """A sandbox with these networks, the first one as eth0."""
    entries = []
    for number, text in enumerate(confs):
        conf = config.loads(text, "it")
        ifname = f"net{number}" if number else "eth0"
        ports: dict[str, Any] = {} if number else {"portMappings": [{"hostPort": 80}]}
        entry = record.Entry(conf, conf.name, ifname, (("A", "b"),), ports, not number, "/run/netns/x")
        entries.append(entry)
        found = results.parse(b'{"cniVersion": "1.0.0", "ips": []}', "1.0.0", "it")
        result_files.ResultFiles(str(cni_dir)).save(
            CachedResult(conf.name, container_id, ifname, entry.netns, conf, entry.args, ports, found)
        )
    if recorded:
        kept = record.Record(tuple(entries), arguments.PodArgs("ns", "pod", container_id, "uid"))
        records.RecordFiles(str(cni_dir), clock.SystemClock()).save(container_id, kept)


def read(cni_dir: Path, container_id: str) -> list[Frame]:
    return list(frames.of_daemon().feed((cni_dir / "last-orders" / container_id).read_bytes()))


def shown(cni_dir: Path, frame: Frame) -> str:
    if frame.type == frames.EXEC:
        return frames.read_exec(frame.payload).plugin
    if frame.type == frames.FORGET:
        return os.path.relpath(frames.read_path(frame.payload), cni_dir)
    assert frames.read_answer(frame.payload) == frames.Answer(0, b"")
    return "done"


def test_a_sandbox_is_deleted_on_paper(tmp_path: Path) -> None:
    """The plugins in the order of DEL, then its files, those of the last orders last; nothing is deleted yet."""
    attach(tmp_path, "one", DEFAULT, FURTHER)
    assert lastorders.leave(str(tmp_path), thick=True) == 1
    assert [shown(tmp_path, frame) for frame in read(tmp_path, "one")] == [
        *("macvlan", "portmap", "bridge", "results/more-one-net1", "results/cluster-one-eth0"),
        *("one", "last-orders/one", "done"),
    ]
    assert (tmp_path / "one").exists()
    assert len(os.listdir(tmp_path / "results")) == 2


def test_what_a_plugin_is_given(tmp_path: Path) -> None:
    """Its configuration with the result and the runtime's arguments of ADD; the namespace is the runtime's to say."""
    attach(tmp_path, "one", DEFAULT)
    lastorders.leave(str(tmp_path), thick=True)
    order = frames.read_exec(read(tmp_path, "one")[0].payload)
    names = ("CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME", "CNI_ARGS")
    assert order.environ == dict(zip(names, ("DEL", "one", "eth0", "A=b"), strict=True))
    told = rawjson.loads_object(order.stdin, "it")
    assert (told["type"], told["prevResult"]["ips"]) == ("portmap", [])


def test_results_stand_in_for_a_record(tmp_path: Path) -> None:
    """A sandbox that only its cached result knows, its record missing or damaged."""
    attach(tmp_path, "one", DEFAULT, recorded=False)
    attach(tmp_path, "two", DEFAULT, recorded=False)
    (tmp_path / "two").write_text("{")
    assert lastorders.leave(str(tmp_path), thick=True) == 2
    assert [shown(tmp_path, frame) for frame in read(tmp_path, "two")][:2] == ["portmap", "bridge"]


def test_nothing_known(tmp_path: Path) -> None:
    """A damaged record without results is set aside and leaves no orders; the others have theirs."""
    attach(tmp_path, "one", DEFAULT)
    (tmp_path / "two").write_text("{")
    assert lastorders.leave(str(tmp_path), thick=True) == 1
    assert os.listdir(tmp_path / "last-orders") == ["one"]
    assert os.listdir(tmp_path / "damaged") == ["two.0"]


def test_again(tmp_path: Path) -> None:
    """What was left before and is not on record any more is not left again."""
    attach(tmp_path, "one", DEFAULT)
    lastorders.leave(str(tmp_path), thick=True)
    (tmp_path / "one").unlink()
    (tmp_path / "results/cluster-one-eth0").unlink()
    assert lastorders.leave(str(tmp_path), thick=True) == 0
    assert os.listdir(tmp_path / "last-orders") == []


def test_withdrawn(tmp_path: Path) -> None:
    """Another installation: there is nothing of it; also where there was nothing."""
    attach(tmp_path, "one", DEFAULT)
    lastorders.leave(str(tmp_path), thick=True)
    for _ in range(2):
        lastorders.withdraw(str(tmp_path))
        assert not (tmp_path / "last-orders").exists()


def test_the_one_shot_plugin_needs_none(tmp_path: Path) -> None:
    """Only the sign that it is uninstalled."""
    attach(tmp_path, "one", DEFAULT)
    assert lastorders.leave(str(tmp_path), thick=False) == 0
    assert os.listdir(tmp_path / "last-orders") == []


def test_calls_that_run_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for ever: what they attach later has no last orders."""
    monkeypatch.setattr(lastorders, "BARRIER", 0.05)
    attach(tmp_path, "one", DEFAULT)
    now = clock.SystemClock()
    with records.RecordFiles(str(tmp_path), now).lock("other", now.monotonic() + 1):
        assert lastorders.leave(str(tmp_path), thick=True) == 1


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """It is said where."""
    (tmp_path / "file").touch()
    with pytest.raises(errors.IoFailure, match="last-orders"):
        lastorders.leave(str(tmp_path / "file"), thick=True)


def test_executables(tmp_path: Path) -> None:
    """They go once nothing is left to do, and not before."""
    attach(tmp_path, "one", DEFAULT)
    shim = tmp_path / "bin/multus-shim"
    shim.parent.mkdir()
    shim.touch()
    lastorders.leave(str(tmp_path), thick=True)
    assert lastorders.remove_executables(str(tmp_path), str(shim.parent)) == []
    (tmp_path / "last-orders/one").unlink()
    assert lastorders.remove_executables(str(tmp_path), str(shim.parent)) == [str(shim)]
    assert not shim.exists()
