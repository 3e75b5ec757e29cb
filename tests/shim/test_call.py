"""One call of the runtime: what the daemon is told, and what the runtime gets."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from multus.execproto import frames
from shim import harness

if TYPE_CHECKING:
    from pathlib import Path

    from multus.execproto.connection import Connection
    from shim.harness import Host

pytestmark = pytest.mark.netns


def test_the_answer_is_printed_and_its_status_is_the_exit_status(host: Host) -> None:
    """ANSWER: these bytes, that code."""

    def handler(connection: Connection) -> None:
        connection.welcome(10)
        assert connection.answer(b'{"ips": []}\n', 3)

    with harness.Daemon(host.sockets, handler):
        assert host.call() == (3, '{"ips": []}\n')


def test_an_answer_of_four_mebibytes_arrives_whole(host: Host) -> None:
    """The largest answer, through a pipe that holds less."""
    data = b"x" * frames.MAX_DATA

    def handler(connection: Connection) -> None:
        connection.welcome()
        connection.answer(data, 0)

    with harness.Daemon(host.sockets, handler):
        assert host.call() == (0, data.decode())


def test_hello_tells_all_of_the_call(host: Host) -> None:
    """Stdin as it came, kind, start, search path."""

    def handler(connection: Connection) -> None:
        connection.welcome()
        connection.answer(b"", 0)

    with harness.Daemon(host.sockets, handler) as daemon:
        assert host.call(CNI_ARGS="K8S_POD_NAME=a;X=ä")[0] == 0
    hello = daemon.connections[0].hello
    assert hello.kind == frames.CALL
    assert hello.stdin == host.conf()
    assert hello.search == f"{host.plugins}:/nowhere:relative"
    assert hello.environ["CNI_ARGS"] == "K8S_POD_NAME=a;X=ä"
    assert hello.environ["CNI_CONTAINERID"] == host.container_id
    assert 0 < daemon.connections[0].elapsed < harness.PATIENCE


def test_only_cni_variables_leave_the_host(host: Host) -> None:
    """A secret in the runtime's environment stays there."""

    def handler(connection: Connection) -> None:
        connection.welcome()
        connection.answer(b"", 0)

    with harness.Daemon(host.sockets, handler) as daemon:
        host.call(AWS_SECRET="s3cret")
    assert all(name.startswith("CNI_") for name in daemon.connections[0].hello.environ)


def test_stdin_of_four_mebibytes_is_taken(host: Host) -> None:
    """The bound itself is allowed."""
    conf = host.conf()
    conf += b" " * (frames.MAX_DATA - len(conf))

    def handler(connection: Connection) -> None:
        connection.welcome()
        connection.answer(str(len(connection.hello.stdin)).encode(), 0)

    with harness.Daemon(host.sockets, handler):
        assert host.call("ADD", conf) == (0, str(frames.MAX_DATA))


def test_more_stdin_is_an_error(host: Host) -> None:
    """One byte more is not."""
    error = host.error("ADD", host.conf() + b" " * frames.MAX_DATA)
    assert error["code"] == 5
    assert "4194304" in error["msg"]


def test_version_is_answered_without_the_daemon(host: Host) -> None:
    """VERSION, in the version that was asked in."""
    status, out = host.call("VERSION", b'{"cniVersion": "0.4.0"}', CNI_CONTAINERID="-")
    assert status == 0
    assert json.loads(out) == {
        "cniVersion": "0.4.0",
        "supportedVersions": ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
    }


def test_version_needs_no_configuration(host: Host) -> None:
    """Runtimes may send nothing at all."""
    assert json.loads(host.call("VERSION", b"")[1])["cniVersion"] == "1.1.0"


@pytest.mark.parametrize("flag", ["--version", "-version", "-v", "--v"])
def test_version_flag(host: Host, flag: str) -> None:
    """Go's spellings, as upstream."""
    from multus import __version__

    status, out = host.call("ADD", b"", flag)
    assert (status, out.split()[:2]) == (0, ["multus-shim:", f"version:{__version__},"])


def test_unknown_flag_is_a_usage_error(host: Host) -> None:
    """Exit status 2."""
    assert host.call("ADD", b"", "--nonsense")[0] == 2


def test_without_a_command_it_says_what_it_is(host: Host) -> None:
    """No CNI_COMMAND: the about text on stderr, success."""
    process = host.start("-", b"")
    out, err = process.communicate(timeout=harness.PATIENCE)
    assert (process.returncode, out) == (0, b"")
    assert b"CNI protocol versions supported: 0.1.0" in err


@pytest.mark.parametrize(
    ("environ", "code", "words"),
    [
        ({"CNI_COMMAND": "EXPLODE"}, 4, "EXPLODE"),
        ({"CNI_CONTAINERID": "-"}, 4, "CNI_CONTAINERID"),
        ({"CNI_CONTAINERID": ""}, 4, "CNI_CONTAINERID"),
        ({"CNI_CONTAINERID": "../../etc/passwd"}, 4, "containerID"),
        ({"CNI_CONTAINERID": ".hidden"}, 4, "containerID"),
        ({"CNI_CONTAINERID": "a" * 256}, 4, "containerID"),
        ({"MULTUS_DELEGATE": "1"}, 7, "called by Multus"),
        ({"CNI_ARGS": "A=" + "b" * 100_000, "CNI_X": "c" * 100_000, "CNI_Y": "d" * 100_000}, 4, "CNI_*"),
    ],
)
def test_a_bad_environment_is_refused(host: Host, environ: dict[str, str], code: int, words: str) -> None:
    """Before a path is made of anything, and before the daemon is asked."""
    error = host.error("ADD", None, **environ)
    assert error["code"] == code
    assert words in error["msg"]


@pytest.mark.parametrize(
    ("conf", "code", "words"),
    [
        (b"", 6, "JSON"),
        (b"[]", 6, "JSON"),
        (b'{"a": 1', 6, "JSON"),
        (b'{"a": 1} x', 6, "JSON"),
        (b'{"a": [}', 6, "JSON"),
        (b'{"a" 1}', 6, "JSON"),
        (b'{"a": "\\u12"}', 6, "JSON"),
        (b'{"a": "\n"}', 6, "JSON"),
        (b"[" * 1000, 6, "JSON"),
        (b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b"}", 6, "JSON"),
        (b'{"binDir": 1}', 7, "binDir"),
        (b'{"binDir": "relative"}', 7, "absolute"),
        (b'{"binDir": {"a": 1}}', 7, "binDir"),
        (b'{"cniDir": "/a\\u0000b"}', 7, "cniDir"),
        (b'{"cniDir": "/' + b"a" * 5000 + b'"}', 7, "cniDir"),
        (b'{"daemonSocketDir": "/' + b"a" * 98 + b'"}', 7, "daemonSocketDir"),
        (b'{"daemonWait": "soon"}', 7, "daemonWait"),
        (b'{"daemonWait": -1}', 7, "daemonWait"),
        (b'{"daemonWaitDelete": 1e9}', 7, "daemonWaitDelete"),
        (b'{"statusGrace": true}', 7, "statusGrace"),
        (b'{"cniVersion": 1}', 7, "cniVersion"),
    ],
)
def test_a_bad_configuration_is_refused(host: Host, conf: bytes, code: int, words: str) -> None:
    """The tokenizer finds its way or says where not; nothing is waited for."""
    error = host.error("ADD", conf)
    assert error["code"] == code
    assert words in error["msg"]


@pytest.mark.parametrize(
    "spelling",
    [
        '{{"daemonSocketDir": "{0}"}}',
        '{{"DAEMONSOCKETDIR": "{0}"}}',
        '{{"daemonSocketDir": "/wrong", "daemonsocketdir": "{0}"}}',
        '{{"\\u0064aemonSocketDir": "{0}"}}',
        '{{"a": [1, {{"daemonSocketDir": "/wrong"}}, "]", -1.5e+7, null, true], "daemonSocketDir": "{0}", "b": {{}}}}',
        ' \n{{"daemonWait": "20", "daemonWaitDelete": null, "statusGrace": 1.5, "daemonSocketDir": "{0}"\t}} \r\n',
    ],
)
def test_configuration_keys_are_found(host: Host, spelling: str) -> None:
    """Case does not matter, the last wins, escapes are decoded, nested ones are somebody else's."""

    def handler(connection: Connection) -> None:
        connection.welcome()
        connection.answer(b"", 0)

    with harness.Daemon(host.sockets, handler):
        assert host.call("ADD", spelling.format(host.sockets).encode()) == (0, "")


def test_a_path_may_be_written_with_escapes(host: Host) -> None:
    """As `json.dumps` writes a directory whose name is not ASCII."""
    directory = host.root / "straße\u20ac"
    directory.mkdir()

    def handler(connection: Connection) -> None:
        connection.welcome()
        connection.answer(b"", 0)

    with harness.Daemon(directory, handler):
        assert host.call("ADD", host.conf(daemonSocketDir=str(directory))) == (0, "")


def test_the_error_object_is_in_the_version_of_the_configuration(host: Host) -> None:
    """CniVersion echoed, quotes and the like escaped."""
    error = host.error("ADD", b'{"cniVersion": "0.4\\"0", "daemonWait": 0, "daemonSocketDir": "/no\\"where"}')
    assert error["cniVersion"] == '0.4"0'
    assert '/no"where' in error["msg"]


def test_closed_standard_streams_do_no_harm(host: Host, tmp_path: Path) -> None:
    """A descriptor of ours never becomes somebody's stdout."""

    def handler(connection: Connection) -> None:
        connection.welcome()
        connection.answer(b"lost", 0)

    script = f'exec "{host.shim}" < "{tmp_path}/conf" >&- 2>&-'
    (tmp_path / "conf").write_bytes(host.conf())
    with harness.Daemon(host.sockets, handler) as daemon:
        done = subprocess.run(["sh", "-c", script], env=host.environ("ADD"), timeout=harness.PATIENCE)
    assert done.returncode == 0
    assert len(daemon.connections) == 1


def test_inherited_descriptors_and_signals_are_not_passed_on(host: Host) -> None:
    """A delegate has its three streams, its lock and default signal handling, whatever the runtime had."""
    host.plugin("look", "ls -l /proc/self/fd; grep Sig /proc/self/status; pwd")

    def handler(connection: Connection) -> None:
        connection.welcome()
        connection.answer(harness.run(connection, "look").stdout, 0)

    script = f"trap '' PIPE USR1 TERM CHLD; exec 9</etc/passwd; exec '{host.shim}'"
    with harness.Daemon(host.sockets, handler):
        done = subprocess.run(
            ["sh", "-c", script],
            env=host.environ("ADD"),
            input=host.conf(),
            capture_output=True,
            timeout=harness.PATIENCE,
        )
    text = done.stdout.decode()
    assert "/etc/passwd" not in text
    assert text.count(" -> ") == 5  # the streams, the lock, and the directory that ls reads
    assert f"inflight/{host.container_id}" in text
    assert "SigBlk:\t0000000000000000" in text
    ignored = int(text.partition("SigIgn:")[2].split()[0], 16)
    assert ignored & ~(3 << 31) == 0  # glibc's posix_spawn ignores the two signals it keeps for itself
    assert text.endswith("\n/\n")
