"""The disk of the records is full or read-only: errors say so, nothing stays attached, and a later DEL finishes."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from support import faults
from support.runtime import PluginError, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.netns

#: The kernel gives a file on a tmpfs whole pages.
PAGE = os.sysconf("SC_PAGE_SIZE")


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path, options: str) -> None:
        path.mkdir(0o700)
        self.path = path
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)

    def fill(self, spare: int = 0) -> None:
        """Leave room for `spare` pages in files."""
        with contextlib.suppress(FileNotFoundError):
            self.filler.unlink()
        with open(self.filler, "wb", buffering=0) as file:
            with contextlib.suppress(OSError):  # ENOSPC
                while True:
                    file.write(bytes(PAGE))
            file.truncate(max(0, file.tell() - spare * PAGE))

    def empty(self) -> None:
        """What filled it goes."""
        self.filler.unlink()

    @property
    def filler(self) -> Path:
        return self.path / ".tmp-filler"

    def remount(self, mode: str) -> None:
        """`ro` or `rw`, for everybody."""

        def done() -> bool:
            command = ["mount", "-o", f"remount,{mode}", str(self.path)]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        faults.wait_for(done, "the last writer to close its file")

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)


@pytest.fixture(params=["thin", "thick"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path)
    if request.param == "thick":
        made.socket_dir.mkdir(0o700)
    ipam = made.host_local("10.11.0.0/24")
    for name in ("a", "b"):
        made.network(name, {"cniVersion": "1.0.0", "type": "bridge", "bridge": "br11", "ipam": ipam})
    made.pod("pod", "a,b")
    yield made
    made.close()


@pytest.fixture
def disk(runtime: Runtime) -> Iterator[Disk]:
    """The records' disk; the daemon is there once it is."""
    made = Disk(runtime.cni_dir, "size=1m,mode=700")
    if runtime.is_thick:
        runtime.start_daemon()
        faults.wait_for((runtime.socket_dir / "exec.sock").exists, "the daemon to listen")
    yield made
    runtime.stop_daemon()
    made.close()


def add_fails(runtime: Runtime, pod: Any, conf: dict[str, Any], words: str) -> None:
    """ADD fails as an input-output error that says why and where, and leaves nothing attached."""
    with pytest.raises(PluginError, match=words) as caught:
        runtime.add(pod, conf)
    assert caught.value.code == 5
    assert str(runtime.cni_dir) in caught.value.msg
    assert pod.links() == {"lo"}
    assert runtime.leases() == []


def test_full_before_add(runtime: Runtime, disk: Disk) -> None:
    """ADD says which file there is no room for; DEL succeeds; with room again ADD does."""
    pod, conf = runtime.sandbox(), runtime.conf()
    disk.fill()
    add_fails(runtime, pod, conf, "No space left on device")
    runtime.delete(pod, conf)
    disk.empty()
    runtime.add(pod, conf)
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_full_at_any_moment(runtime: Runtime, disk: Disk) -> None:
    """Whichever file is the first one too many, ADD undoes all, or succeeds; the DEL behind leaves nothing."""
    conf, failed, succeeded = runtime.conf(), 0, 0
    for spare in range(9):
        pod = runtime.sandbox()
        disk.fill(spare)
        call = faults.begin(runtime, "ADD", pod, conf)
        out, _ = call.communicate(timeout=60)
        if call.returncode == 0:
            succeeded += 1
        else:
            assert b"No space left on device" in out
            assert pod.links() == {"lo"}
            assert runtime.leases() == []
            failed += 1
        runtime.delete(pod, conf)
        runtime.nothing_left(pod)
    assert failed
    assert succeeded


def test_full_before_delete(runtime: Runtime, disk: Disk) -> None:
    """DEL needs no room."""
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    disk.fill()
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_full_and_a_delete_that_fails(runtime: Runtime, disk: Disk) -> None:
    """A DEL that can't write what it still owes leaves the record as it was; the retry finishes."""
    plugins = runtime.own_plugins()
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    disk.fill()
    (plugins / "bridge").rename(plugins / "elsewhere")
    with pytest.raises(PluginError, match=r"bridge|No space left"):
        runtime.delete(pod, conf)
    assert runtime.records() == [pod.container_id]
    (plugins / "elsewhere").rename(plugins / "bridge")
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_read_only_before_add(runtime: Runtime, disk: Disk) -> None:
    """ADD says so and leaves nothing; with a writable disk again it succeeds."""
    pod, conf = runtime.sandbox(), runtime.conf()
    disk.remount("ro")
    add_fails(runtime, pod, conf, "Read-only file system")
    disk.remount("rw")
    runtime.add(pod, conf)
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_read_only_before_delete(runtime: Runtime, disk: Disk) -> None:
    """DEL says so, for what it can't record must not be half undone; once the disk is writable it finishes."""
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    disk.remount("ro")
    with pytest.raises(PluginError, match="Read-only file system"):
        runtime.delete(pod, conf)
    disk.remount("rw")
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_full_while_add_runs(runtime: Runtime, disk: Disk) -> None:
    """A disk that fills behind the record's back: ADD says so and undoes what it did."""
    asks = runtime.dir / "asks"
    result = '{"cniVersion": "1.0.0", "interfaces": []}'
    wait = f"touch {asks}; while [ -e {asks} ]; do sleep 0.01; done; echo '{result}'"
    runtime.own_plugins(turn=f"[ $CNI_COMMAND = ADD ] || exit 0; {wait}")
    runtime.network("turn", {"cniVersion": "1.0.0", "type": "turn"})
    runtime.pod("pod", "a,turn,b")
    pod, conf = runtime.sandbox(), runtime.conf()
    call = faults.begin(runtime, "ADD", pod, conf)
    faults.wait_for(asks.exists, "the second network")
    disk.fill()
    asks.unlink()
    out, _ = call.communicate(timeout=60)
    assert call.returncode == 1
    assert b"No space left on device" in out
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_no_room_for_the_locks_of_delegates(tmp_path: Path) -> None:
    """Where the run directory has no room for another file, ADD and DEL say so with code 11, and recover."""
    runtime = Runtime(tmp_path)
    disk = Disk(runtime.socket_dir, "size=1m,nr_inodes=12,mode=700")
    runtime.pod("pod", None)
    runtime.start_daemon()
    pod, conf = runtime.sandbox(), runtime.conf()
    runtime.add(pod, conf)
    (disk.path / "inflight" / pod.container_id).unlink()
    for number in range(12):
        with contextlib.suppress(OSError):
            (disk.path / f"filler{number}").touch()
    other = runtime.sandbox()
    for verb, one in (("ADD", other), ("DEL", pod)):
        with pytest.raises(PluginError, match="lock file failed: No space left on device") as caught:
            runtime.call(verb, one, conf)
        assert caught.value.code == 11
    for filler in disk.path.glob("filler*"):
        filler.unlink()
    runtime.delete(pod, conf)
    runtime.delete(other, conf)
    runtime.nothing_left(pod)
    runtime.stop_daemon()
    disk.close()
    runtime.close()
