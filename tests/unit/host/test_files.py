"""Records, cached results, configuration files and locks on a real file system."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.cni import config, results
from multus.cni.arguments import PodArgs
from multus.host import atomic, conffiles, records
from multus.host import results as result_files
from multus.host.clock import SystemClock
from multus.host.remembered import Remembered
from multus.host.spares import Spares
from multus.networks.record import Entry, Record
from multus.ports import CachedResult

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

SOON = 0.2


def entry(name: str = "a", ifname: str = "net1") -> Entry:
    found = config.from_object({"cniVersion": "1.0.0", "name": name, "type": "bridge", "x": 1.50}, "test")
    return Entry(found, f"default/{name}", ifname, (("K", "v"),), {"ips": ["10.0.0.1/24"]}, False, "/run/netns/x")


def record(*entries: Entry, pod: str = "pod") -> Record:
    return Record(entries or (entry(),), PodArgs("default", pod, "c1", "u1"))


def cached(network: str = "a", container: str = "c1", ifname: str = "net1") -> CachedResult:
    raw = {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.1/24"}], "unknown": {"kept": 1}}
    return CachedResult(
        network, container, ifname, "/run/netns/x", entry(network).config, (("K", "v"),), {"mac": "m"},
        results.parse(raw, "1.0.0", "test"),
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> records.RecordFiles:
    return records.RecordFiles(str(tmp_path / "cni"), SystemClock())


@pytest.fixture
def cache(tmp_path: Path) -> result_files.ResultFiles:
    return result_files.ResultFiles(str(tmp_path / "cni"))


def test_record_round_trip(store: records.RecordFiles, tmp_path: Path) -> None:
    """What is saved is loaded again; the file is root's alone."""
    store.save("c1", record())
    store.sync("c1")
    assert store.load("c1", "eth0") == record()
    assert stat.S_IMODE((tmp_path / "cni" / "c1").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "cni").stat().st_mode) == 0o700
    store.remove("c1")
    store.remove("c1")
    assert store.load("c1", "eth0") is None


def test_containers(store: records.RecordFiles, tmp_path: Path) -> None:
    """Records are listed; directories, locks and half-written files are not."""
    assert store.containers() == []
    for name in ("c2", "c1"):
        store.save(name, record())
    (tmp_path / "cni" / "results").mkdir()
    (tmp_path / "cni" / ".tmp-1-1").write_text("half")
    with store.lock("c3", time.monotonic() + SOON):
        assert store.containers() == ["c1", "c2"]


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{", b"\xff", b"[1]", b'[{"Bytes": "!"}]'])
def test_damaged_record(store: records.RecordFiles, tmp_path: Path, content: bytes) -> None:
    """A damaged record is set aside under its name, reported, and gone then."""
    (tmp_path / "cni").mkdir()
    (tmp_path / "cni" / "c1").write_bytes(content)
    with pytest.raises(errors.DamagedRecord, match=r"moved to .*damaged/c1\.0"):
        store.load("c1", "eth0")
    assert store.load("c1", "eth0") is None
    assert (tmp_path / "cni" / "damaged" / "c1.0").read_bytes() == content


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".locks", "results", "damaged"])
def test_container_ids_that_are_no_file_names(store: records.RecordFiles, name: str) -> None:
    """No container id leaves the directory or meets one of ours."""
    with pytest.raises(errors.InvalidEnvironment):
        store.load(name, "eth0")
    with pytest.raises(errors.InvalidEnvironment):
        store.lock(name, 0.0).__enter__()


def test_symbolic_link_is_not_followed(store: records.RecordFiles, tmp_path: Path) -> None:
    """A link in the records' directory is an error, never somebody else's file."""
    (tmp_path / "cni").mkdir()
    (tmp_path / "cni" / "c1").symlink_to("/etc/passwd")
    with pytest.raises(errors.IoFailure, match="c1"):
        store.load("c1", "eth0")


def test_disk_that_refuses(tmp_path: Path) -> None:
    """A directory that can't be made is named with the reason, and nothing is half there."""
    (tmp_path / "file").write_text("")
    store = records.RecordFiles(str(tmp_path / "file" / "cni"), SystemClock())
    with pytest.raises(errors.IoFailure, match=r"can't write .*c1: Not a directory"):
        store.save("c1", record())


def refused(lock: AbstractContextManager[None], message: str) -> None:
    with pytest.raises(errors.TryAgainLater, match=message):
        lock.__enter__()


def test_sandbox_lock_excludes(store: records.RecordFiles) -> None:
    """A second call for one container waits, and gives up at its deadline; another container's does not."""
    with store.lock("c1", time.monotonic() + SOON):
        refused(store.lock("c1", 0.0), "another call for container c1")
        with store.lock("c2", time.monotonic() + SOON):
            pass
    with store.lock("c1", time.monotonic() + SOON):
        pass


def test_node_lock_excludes_all(store: records.RecordFiles) -> None:
    """Garbage collection waits for calls and calls wait for it."""
    with store.lock("c1", time.monotonic() + SOON):
        refused(store.exclusive(0.0), "other calls")
    with store.exclusive(time.monotonic() + SOON):
        refused(store.lock("c1", 0.0), "garbage collection")


def test_lock_is_handed_on(store: records.RecordFiles, tmp_path: Path) -> None:
    """Many threads take one lock in turn; its file goes with the last of them."""
    inside = 0
    seen = []

    def work() -> None:
        nonlocal inside
        with store.lock("c1", time.monotonic() + 60):
            inside += 1
            seen.append(inside)
            time.sleep(0.002)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 8
    assert os.listdir(tmp_path / "cni" / ".locks") == [".node"]


def test_delegates_hold_the_lock_of_a_killed_call(tmp_path: Path) -> None:
    """The lock of a call that was killed is held by what it had started; what hangs is ended, then the lock is free."""
    directory = tmp_path / "cni"
    mark = tmp_path / "pid"
    child = os.fork()
    if child == 0:  # a call: takes the lock, starts a delegate, is killed
        try:
            store = records.RecordFiles(str(directory), SystemClock())
            with store.lock("c1", time.monotonic() + 10):
                environ = {**os.environ, "MULTUS_DELEGATE": "1", "CNI_CONTAINERID": "c1"}
                pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], environ)
                mark.write_text(str(pid))
                os.kill(os.getpid(), 9)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    pid = int(mark.read_text())
    assert Path(f"/proc/{pid}").exists()
    store = records.RecordFiles(str(directory), SystemClock())
    refused(store.lock("c1", time.monotonic() + SOON), "another call")
    with store.lock("c1", time.monotonic() + 60):
        status = Path(f"/proc/{pid}/stat")
        assert not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_superseded(store: records.RecordFiles) -> None:
    """A record that is gone, or a newer one of the same pod, makes what belonged to the old one void."""
    pod = PodArgs("default", "pod", "c1", "u1")
    assert store.superseded("c1", pod)
    store.save("c1", record())
    store.save("other", record(pod="other"))
    assert not store.superseded("c1", pod)
    time.sleep(0.01)
    store.save("c2", record())
    assert store.superseded("c1", pod)
    assert not store.superseded("c2", pod)


def test_sweep(store: records.RecordFiles, tmp_path: Path) -> None:
    """GC removes what a killed writer left, records stay."""
    store.save("c1", record())
    (tmp_path / "cni" / f"{atomic.TEMPORARY}1-1").write_text("half")
    with store.exclusive(time.monotonic() + SOON):
        pass
    assert sorted(os.listdir(tmp_path / "cni")) == [".locks", "c1"]


def test_result_round_trip(cache: result_files.ResultFiles, tmp_path: Path) -> None:
    """A cached result comes back whole, unknown members included, from a file of libcni's name and members."""
    cache.save(cached())
    assert cache.load("a", "c1", "net1") == cached()
    raw = json.loads((tmp_path / "cni" / "results" / "a-c1-net1").read_text())
    assert list(raw) == [
        "kind", "containerId", "config", "ifName", "networkName", "netns", "cniArgs", "capabilityArgs", "result",
    ]  # fmt: skip
    assert raw["kind"] == "cniCacheV1"
    cache.remove("a", "c1", "net1")
    assert cache.load("a", "c1", "net1") is None


def test_results_of_one_sandbox(cache: result_files.ResultFiles) -> None:
    """The results of one container, in the order they were written; names that only look alike don't count."""
    for network, container, ifname in (("b", "c1", "net1"), ("a", "c1", "net2"), ("a-c1", "x", "net1")):
        cache.save(cached(network, container, ifname))
        time.sleep(0.01)
    assert [(one.network, one.ifname) for one in cache.of("c1")] == [("b", "net1"), ("a", "net2")]
    assert len(cache.all()) == 3


def test_damaged_result(cache: result_files.ResultFiles, tmp_path: Path) -> None:
    """A damaged result is set aside and counts as missing."""
    cache.save(cached())
    (tmp_path / "cni" / "results" / "a-c1-net1").write_text("{")
    assert cache.load("a", "c1", "net1") is None
    assert os.listdir(tmp_path / "cni" / "damaged") == ["a-c1-net1.0"]


@pytest.mark.parametrize(("network", "ifname"), [("../a", "net1"), ("a", "../net1"), ("a", "a/b"), ("", "net1")])
def test_result_names_never_leave_the_directory(cache: result_files.ResultFiles, network: str, ifname: str) -> None:
    """Names are checked before they become a path."""
    with pytest.raises(errors.CniError):
        cache.load(network, "c1", ifname)


def write(path: Path, content: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_conf_by_name(tmp_path: Path) -> None:
    """Lists before single configurations, then by file name; what can't be parsed is passed over."""
    write(tmp_path / "05.conf", "{")
    write(tmp_path / "10.conf", {"name": "x", "type": "single"})
    write(tmp_path / "20.conflist", {"name": "x", "plugins": [{"type": "listed"}]})
    write(tmp_path / "30.json", {"name": "y", "type": "json"})
    write(tmp_path / "40.txt", {"name": "z", "type": "text"})
    files = conffiles.ConfDirectory(str(tmp_path))
    found = {name: files.by_name(name) for name in "xyz"}
    assert {name: one.types if one else None for name, one in found.items()} == {
        "x": ("listed",), "y": ("json",), "z": None,
    }  # fmt: skip
    assert conffiles.ConfDirectory(str(tmp_path / "missing")).by_name("x") is None


def test_conf_by_path(tmp_path: Path) -> None:
    """A file, a link to one, a directory whose first network is not Multus; what is no file is refused."""
    write(tmp_path / "00-multus.conf", {"name": "m", "type": "multus", "delegates": []})
    path = write(tmp_path / "10.conf", {"name": "x", "type": "bridge"})
    (tmp_path / "link").symlink_to(path)
    files = conffiles.ConfDirectory("/nowhere")
    assert files.by_path(path).name == files.by_path(str(tmp_path / "link")).name == "x"
    assert files.by_path(str(tmp_path)).name == "x"
    for wrong, message in (("/dev/null", "not a regular file"), ("/no/such", "No such file"), ("/proc", "no CNI conf")):
        with pytest.raises(errors.CniError, match=message):
            files.by_path(wrong)


def test_fifo_does_not_block(tmp_path: Path) -> None:
    """A named pipe in place of a configuration is refused, not waited for."""
    os.mkfifo(tmp_path / "10.conf")
    with pytest.raises(errors.IoFailure, match="not a regular file"):
        conffiles.ConfDirectory("/nowhere").by_path(str(tmp_path / "10.conf"))


def test_subdirectory_of_a_list(tmp_path: Path) -> None:
    """`<name>/*.conf` is appended in order of the names, not with `loadOnlyInlinedPlugins`."""
    for name in ("20-b", "10-a"):
        write(tmp_path / "net" / f"{name}.conf", {"type": name[3:]})
    write(tmp_path / "net" / "readme.txt", "no plugin")
    path = write(tmp_path / "x.conflist", {"name": "net", "plugins": [{"type": "first"}]})
    files = conffiles.ConfDirectory(str(tmp_path))
    assert files.by_path(path).types == ("first", "a", "b")
    write(tmp_path / "x.conflist", {"name": "net"})
    assert files.by_path(path).types == ("a", "b")
    write(tmp_path / "x.conflist", {"name": "net", "plugins": [{"type": "first"}], "loadOnlyInlinedPlugins": True})
    assert files.by_path(path).types == ("first",)
    write(tmp_path / "net" / "30.conf", "{")
    write(tmp_path / "x.conflist", {"name": "net", "plugins": [{"type": "first"}]})
    with pytest.raises(errors.DecodeError, match=r"30\.conf"):
        files.by_path(path)
    write(tmp_path / "x.conflist", {"name": "empty"})
    with pytest.raises(errors.InvalidConfig, match="plugins is empty"):
        files.by_path(path)


def test_auxiliary_chain(tmp_path: Path) -> None:
    """The chain is passthru and the plugins beside the cluster network's file; none without any, none when broken."""
    files = conffiles.ConfDirectory("/nowhere")
    beside = str(tmp_path / "10-net.conflist")
    assert files.chain("aux", beside, "1.0.0") is None
    write(tmp_path / "aux" / "1.conf", {"type": "tuning", "sysctl": {}})
    found = files.chain("aux", beside, "1.0.0")
    assert found is not None
    assert (found.name, found.cni_version, found.types) == ("aux", "1.0.0", ("passthru", "tuning"))
    write(tmp_path / "aux" / "2.conf", "{")
    assert files.chain("aux", beside, "1.0.0") is None


def test_a_half_written_file_goes_with_the_file(tmp_path: Path) -> None:
    """A writer was killed before its rename: the next one takes its place, and removing the file removes both."""
    path = tmp_path / "record"
    atomic.write(str(path), b"whole")
    left = tmp_path / f"{atomic.TEMPORARY}record"
    left.write_bytes(b"half a file, longer than the next")
    atomic.write(str(path), b"new")
    assert path.read_bytes() == b"new"
    left.write_bytes(b"half")
    atomic.remove(str(path))
    assert list(tmp_path.iterdir()) == []


# ── what a process that stays remembers ─────────────────────────────────────────────────────────────────────────────


def test_a_record_is_read_again_only_when_it_is_another_file(tmp_path: Path) -> None:
    """The very record that was saved, until somebody else writes the file; a file that went is no record."""
    one = records.RecordFiles(str(tmp_path), SystemClock(), known=Remembered())
    saved = record()
    one.save("c1", saved)
    assert one.load("c1", "eth0") is saved
    records.RecordFiles(str(tmp_path), SystemClock()).save("c1", record(entry("b")))
    assert one.load("c1", "eth0") == record(entry("b"))
    (tmp_path / "c1").unlink()
    assert one.load("c1", "eth0") is None


def test_a_result_is_read_again_only_when_it_is_another_file(tmp_path: Path) -> None:
    """It is the same whether it is remembered or read, until somebody else writes the file."""
    known: Remembered[result_files.Written] = Remembered()
    result_files.ResultFiles(str(tmp_path), known).save(cached())
    assert result_files.ResultFiles(str(tmp_path), known).load("a", "c1", "net1") == cached()
    assert result_files.ResultFiles(str(tmp_path)).load("a", "c1", "net1") == cached()
    other = cached()._replace(args=(("K", "w"),))
    result_files.ResultFiles(str(tmp_path)).save(other)
    assert result_files.ResultFiles(str(tmp_path), known).load("a", "c1", "net1") == other
    assert result_files.ResultFiles(str(tmp_path), known).of("c1") == [other]


def test_the_oldest_is_forgotten() -> None:
    """No more than the limit; what was put again is young."""
    known: Remembered[str] = Remembered(2)
    for path in ("a", "b", "a", "c"):
        known.put(path, (1, 1, 1), path)
    assert [known.get(path, (1, 1, 1)) for path in ("a", "b", "c")] == ["a", None, "c"]
    assert known.get("a", (1, 1, 2)) is None


@pytest.mark.parametrize("stays", [False, True])
def test_a_result_as_it_was_printed(tmp_path: Path, stays: bool) -> None:
    """It is kept without a look at it, and understood when it is loaded; without a version it is of its network's."""
    known: Remembered[result_files.Written] | None = Remembered() if stays else None
    cache = result_files.ResultFiles(str(tmp_path), known)
    bare = cached()._replace(result=None)
    cache.keep(bare, cache.opening(bare), b' {"ips": [{"address": "10.0.0.1/24"}], "vlan": 1.50}\n')
    found = cache.load("a", "c1", "net1")
    assert found is not None
    assert found.result is not None
    assert (found.result.cni_version, found.result.ips[0].address) == ("1.0.0", "10.0.0.1/24")
    assert b'"vlan": 1.50' in (tmp_path / "results" / "a-c1-net1").read_bytes()


@pytest.mark.parametrize("stays", [False, True])
def test_a_result_that_is_none_is_set_aside(tmp_path: Path, stays: bool) -> None:
    """Whatever a plugin printed, it is nobody's result."""
    known: Remembered[result_files.Written] | None = Remembered() if stays else None
    cache = result_files.ResultFiles(str(tmp_path), known)
    bare = cached()._replace(result=None)
    cache.keep(bare, cache.opening(bare), b"garbage")
    assert cache.load("a", "c1", "net1") is None
    assert len(list((tmp_path / "damaged").iterdir())) == 1


class Spared:
    """Cached results whose files are used again; `known` as in a daemon."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = result_files.ResultFiles(str(directory), Remembered(), Spares(str(directory / ".spare")))

    def save(self, container_id: str, args: str = "v") -> int:
        """Its inode."""
        self.store.save(cached()._replace(container_id=container_id, args=(("K", args),)))
        return (self.directory / f"results/a-{container_id}-net1").stat().st_ino

    def remove(self, container_id: str) -> None:
        self.store.remove("a", container_id, "net1")

    def spares(self) -> list[Path]:
        return sorted((self.directory / ".spare").glob("*"))


@pytest.mark.parametrize("args", ["v", "much longer than it was before", ""])
def test_a_file_is_used_again(tmp_path: Path, args: str) -> None:
    """The same inode with other content, whatever the lengths; nobody else sees it between."""
    spared = Spared(tmp_path)
    inode = spared.save("c1", "some text")
    spared.remove("c1")
    assert len(spared.spares()) == 1
    assert list(result_files.ResultFiles(str(tmp_path)).all()) == []
    assert spared.save("c2", args) == inode
    assert spared.spares() == []
    (found,) = result_files.ResultFiles(str(tmp_path)).all()
    assert found == cached()._replace(container_id="c2", args=(("K", args),))


def test_what_is_removed_twice_is_gone(tmp_path: Path) -> None:
    """As without spares, no error."""
    spared = Spared(tmp_path)
    spared.save("c1")
    for _ in range(2):
        spared.remove("c1")
    assert len(spared.spares()) == 1
    assert not (tmp_path / "results/a-c1-net1").exists()


def test_spares_that_somebody_removed(tmp_path: Path) -> None:
    """A successor has begun with a clean directory: its predecessor makes new files."""
    spared = Spared(tmp_path)
    for name in ("c1", "c2"):
        spared.save(name)
    for name in ("c1", "c2"):
        spared.remove(name)
    other = Spared(tmp_path)
    assert other.spares() == []
    spared.save("c3")
    (tmp_path / ".spare").rmdir()
    spared.save("c4")
    spared.remove("c3")
    assert len(spared.spares()) == 1
    assert [one.container_id for one in other.store.all()] == ["c4"]


def test_so_many_spares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is drained keeps no more than it may need."""
    monkeypatch.setattr("multus.host.spares.LIMIT", 2)
    spared = Spared(tmp_path)
    for number in range(5):
        spared.save(f"c{number}")
    for number in range(5):
        spared.remove(f"c{number}")
    assert len(spared.spares()) == 2
    assert list((tmp_path / "results").iterdir()) == []


def test_what_a_spare_held_before(tmp_path: Path) -> None:
    """Power was lost before the new content was on the disk: set aside, as any damaged one."""
    spared = Spared(tmp_path)
    spared.save("c1")
    (tmp_path / "results/a-c1-net1").rename(tmp_path / "results/a-c2-net1")
    store = result_files.ResultFiles(str(tmp_path))
    assert store.of("c2") == []
    assert store.load("a", "c1", "net1") is None
    assert [path.name for path in (tmp_path / "damaged").iterdir()] == ["a-c2-net1.0"]


def test_a_record_that_a_spare_held_before(tmp_path: Path) -> None:
    """The file of a record is used again too, and says whose it is."""
    one = records.RecordFiles(
        str(tmp_path), SystemClock(), known=Remembered(), spares=records.spare_files(str(tmp_path))
    )
    one.save("c1", record())
    inode = (tmp_path / "c1").stat().st_ino
    one.remove("c1")
    assert one.load("c1", "eth0") is None
    one.save("c2", record(entry("b")))
    assert (tmp_path / "c2").stat().st_ino == inode
    (tmp_path / "c2").rename(tmp_path / "c3")
    with pytest.raises(errors.DamagedRecord, match="another sandbox's"):
        records.RecordFiles(str(tmp_path), SystemClock()).load("c3", "eth0")
    assert (tmp_path / "damaged/c3.0").exists()


def test_lock_files_are_used_again(tmp_path: Path) -> None:
    """The same file for the next sandbox, empty and locked; not while another process has one of that name."""
    spares = records.spare_files(str(tmp_path))
    one = records.RecordFiles(str(tmp_path), SystemClock(), inherit=False, spares=spares)
    path = tmp_path / ".locks"
    with one.lock("c1", time.monotonic() + 5):
        inode = (path / "c1").stat().st_ino
    assert not (path / "c1").exists()
    other = records.RecordFiles(str(tmp_path), SystemClock())
    with one.lock("c2", time.monotonic() + 5):
        found = (path / "c2").stat()
        assert (found.st_ino, found.st_size, found.st_nlink) == (inode, 0, 1)
        with pytest.raises(errors.TryAgainLater), other.lock("c2", time.monotonic()):
            pass
    with (
        other.lock("c3", time.monotonic() + 5),
        pytest.raises(errors.TryAgainLater),
        one.lock("c3", time.monotonic()),
    ):
        pass
    with one.lock("c3", time.monotonic() + 5):
        assert (path / "c3").stat().st_ino == inode


def test_nothing_is_kept_at_the_end(tmp_path: Path) -> None:
    """Whoever stops, or is uninstalled, leaves no spares."""
    spares = records.spare_files(str(tmp_path))
    one = records.RecordFiles(str(tmp_path), SystemClock(), inherit=False, known=Remembered(), spares=spares)
    with one.lock("c1", time.monotonic() + 5):
        one.save("c1", record())
        one.remove("c1")
    assert len([path for path in (tmp_path / ".spare").rglob("*") if path.is_file()]) == 2
    spares.clear()
    assert not (tmp_path / ".spare").exists()
