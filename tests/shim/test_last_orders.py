"""The shim once Multus is uninstalled: it carries out what was left to it, refuses the rest, and goes."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from multus.execproto import frames
from shim import harness

if TYPE_CHECKING:
    from multus.execproto.connection import Connection
    from shim.harness import Host

pytestmark = pytest.mark.netns


@pytest.fixture(autouse=True)
def own_copy(host: Host) -> None:
    """A shim that may remove itself."""
    host.shim = Path(shutil.copy2(host.shim, host.plugins / "multus-shim"))


def directory(host: Host) -> Path:
    """With it, Multus is uninstalled."""
    made = host.cni_dir / "last-orders"
    made.mkdir(exist_ok=True)
    return made


def bequeath(host: Host, *plugins: str, forget: tuple[Path, ...] = (), **environ: str) -> Path:
    """Last orders for the host's container: to run these plugins, to forget these files and themselves."""
    file = directory(host) / host.container_id
    variables = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": host.container_id, "CNI_IFNAME": "net9", **environ}
    orders = [frames.exec_order(n, frames.Exec(20.0, p, variables, p.encode())) for n, p in enumerate(plugins)]
    orders += [frames.path_order(frames.FORGET, 0, str(path)) for path in (*forget, file)]
    file.write_bytes(b"".join((*orders, frames.answer(frames.Answer(0, b"")))))
    return file


def recorder(host: Host, name: str) -> None:
    """A plugin that appends what it was given to `<root>/log`, slowly enough that two at once would show."""
    path = host.root / "log"
    said = 'echo "$CNI_COMMAND $CNI_IFNAME $CNI_NETNS $(cat)"'
    host.plugin(name, f"echo begin >> {path}; sleep 0.05; {said} >> {path}\n")


def test_orders_are_carried_out_in_turn(host: Host) -> None:
    """Each with its own interface and stdin, in the namespace that the runtime names now; then the files are gone."""
    for name in ("one", "two"):
        recorder(host, name)
    record = host.cni_dir / host.container_id
    record.write_text("[]")
    file = bequeath(host, "one", "two", forget=(record, host.root / "was gone already"))
    assert host.call("DEL", CNI_NETNS="/run/netns/now") == (0, "")
    lines = [f"DEL net9 /run/netns/now {name}" for name in ("one", "two")]
    assert (host.root / "log").read_text().splitlines() == ["begin", lines[0], "begin", lines[1]]
    assert not record.exists()
    assert not file.exists()


def test_a_failure_is_told_and_all_is_kept(host: Host) -> None:
    """The runtime gets the plugin's own error and will try again; what comes after it is attempted, nothing is
    forgotten."""
    host.plugin("bad", """cat > /dev/null; echo '{"code": 103, "msg": "lease is stuck"}'; exit 1\n""")
    recorder(host, "two")
    record = host.cni_dir / host.container_id
    record.write_text("[]")
    file = bequeath(host, "bad", "two", forget=(record,))
    error = host.error("DEL")
    assert (error["code"], error["msg"]) == (103, "lease is stuck")
    assert "DEL net9" in (host.root / "log").read_text()
    assert record.exists()
    assert file.exists()
    host.plugin("bad", "cat > /dev/null\n")
    assert host.call("DEL") == (0, "")
    assert not record.exists()


@pytest.mark.parametrize("script", ["cat > /dev/null; kill -9 $$\n", "cat > /dev/null; exit 3\n", None])
def test_a_failure_without_words(host: Host, script: str | None) -> None:
    """A plugin that is killed, says nothing, or is not there: try again."""
    if script is not None:
        host.plugin("mute", script)
    file = bequeath(host, "mute")
    assert host.error("DEL")["code"] == 11
    assert file.exists()


@pytest.mark.parametrize(("verb", "code"), [("ADD", 7), ("CHECK", 7), ("GC", 7), ("STATUS", 50)])
def test_the_rest_is_refused(host: Host, verb: str, code: int) -> None:
    """At once, naming what happened and what to do, however fresh the last daemon's heartbeat is."""
    bequeath(host)
    (host.sockets / "heartbeat").touch()
    error = host.error(verb, host.conf(daemonWait=3600))
    assert error["code"] == code
    assert "Multus was uninstalled here: let the runtime read its CNI configuration again" in error["msg"]


def test_without_orders(host: Host) -> None:
    """A container that nothing is known of is deleted; one with a record is not given up."""
    directory(host)
    (directory(host) / "other").touch()
    assert host.call("DEL") == (0, "")
    (host.cni_dir / host.container_id).write_text("[]")
    error = host.error("DEL")
    assert error["code"] == 11
    assert "on record" in error["msg"]


@pytest.mark.parametrize("content", [b"", b"x" * 12, frames.encode(frames.KILL, 1)])
def test_orders_that_are_none(host: Host, content: bytes) -> None:
    """A file that is cut off or no such file at all: an error, and it stays."""
    file = bequeath(host)
    file.write_bytes(content)
    assert host.error("DEL")["code"] == 11
    assert file.exists()


def test_the_last_one_removes_the_shim(host: Host) -> None:
    """When nothing is left to be done for any container, nobody needs the executable; not before."""
    bequeath(host)
    other = directory(host) / "other"
    other.touch()
    assert host.call("DEL") == (0, "")
    assert host.shim.exists()
    other.unlink()
    assert host.call("DEL") == (0, "")
    assert not host.shim.exists()
    assert not (host.cni_dir / "last-orders").exists()


def test_a_successor_stays(host: Host) -> None:
    """What was put in the shim's place meanwhile is not removed."""
    host.plugin("swap", f"cat > /dev/null; echo new > {host.shim}.new; mv {host.shim}.new {host.shim}\n")
    bequeath(host, "swap")
    assert host.call("DEL") == (0, "")
    assert host.shim.read_text() == "new\n"


def test_a_daemon_that_is_busy_is_waited_for(host: Host) -> None:
    """A backlog that is full is one of a daemon that has not gone yet."""
    recorder(host, "one")
    file = bequeath(host, "one")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as filler:
        server.bind(str(host.sockets / "exec.sock"))
        server.listen(0)
        filler.connect(str(host.sockets / "exec.sock"))
        process = host.start("DEL", host.conf(daemonWaitDelete=1))
        assert harness.alive(host.worker(process))
        time.sleep(0.2)
        assert process.poll() is None
        assert file.exists()
        process.kill()


def test_a_daemon_that_is_there_is_asked(host: Host) -> None:
    """Multus was installed again, or is not quite gone yet."""

    def answer(connection: Connection) -> None:
        connection.welcome()
        connection.answer(b"", 0)

    file = bequeath(host)
    with harness.Daemon(host.sockets, answer):
        assert host.call("DEL") == (0, "")
    assert file.exists()
