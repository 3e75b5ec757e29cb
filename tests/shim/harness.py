"""A runtime and a daemon for tests of the shim: the runtime runs it, the daemon is our own end of the protocol."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from multus import errors
from multus.cni.invoke import PluginCall, PluginExit
from multus.execproto import greeting, listener

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multus.execproto.connection import Connection

#: No test takes so long unless it hangs.
PATIENCE = 30.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`; fails the test when there is none."""
    until = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < until, f"timed out: {what}"
        time.sleep(0.01)
    return value


def alive(pid: int) -> bool:
    """Whether that process exists and is no zombie."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] not in "ZX"
    return False


def children(pid: int) -> list[int]:
    """Its direct children, from /proc."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, IndexError), open(f"/proc/{name}/stat") as file:
            if name.isdigit() and int(file.read().rpartition(")")[2].split()[1]) == pid:
                found.append(int(name))
    return found


class Daemon:
    """Serves `handler` for each connected shim, in threads; `failures` are what handlers raised, beside CNI errors."""

    def __init__(self, directory: Path, handler: Callable[[Connection], None], **options: Any) -> None:
        self._handler = handler
        self._options = options
        self._socket = listener.listen(str(directory))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.connections: list[Connection] = []
        self.refused: list[errors.CniError] = []
        self.ended: list[errors.CniError] = []
        self.failures: list[BaseException] = []
        self._threads[0].start()

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        assert self.failures == []

    def stop(self) -> None:
        """Like an orderly end: no new calls; those that run are finished."""
        import socket

        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        try:
            connection = greeting.greet(accepted, time.monotonic() + PATIENCE, **self._options)
        except errors.CniError as error:
            self.refused.append(error)
            return
        self.connections.append(connection)
        try:
            with connection:
                self._handler(connection)
        except errors.CniError as error:
            self.ended.append(error)
        except BaseException as error:
            self.failures.append(error)


class Host:
    """A host's directories, and a runtime that calls the shim on it."""

    def __init__(self, root: Path, shim: Path) -> None:
        self.root, self.shim = root, shim
        self.sockets = root / "run"
        self.plugins = root / "bin"
        self.cni_dir = root / "records"
        self.container_id = "sandbox-" + os.urandom(4).hex()
        for directory in (self.sockets, self.plugins, self.cni_dir):
            directory.mkdir(mode=0o700)
        self.spawned: list[subprocess.Popen[bytes]] = []

    def plugin(self, name: str, script: str) -> Path:
        """A plugin that is a shell script."""
        path = self.plugins / name
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def conf(self, **keys: Any) -> bytes:
        default = {"cniVersion": "1.0.0", "name": "multus", "type": "multus-shim", "cniDir": str(self.cni_dir)}
        default |= {"daemonSocketDir": str(self.sockets), "binDir": str(self.plugins)}
        return json.dumps({**default, "daemonWait": 20, "daemonWaitDelete": 20, **keys}).encode()

    def environ(self, verb: str, **more: str) -> dict[str, str]:
        variables = {"PATH": os.environ["PATH"], "CNI_COMMAND": verb, "CNI_CONTAINERID": self.container_id}
        variables |= {"CNI_IFNAME": "eth0", "CNI_NETNS": "/run/netns/none", "CNI_PATH": "/nowhere:relative"}
        variables["ASAN_OPTIONS"] = f"detect_leaks=0:log_path={self.root}/sanitizer"
        variables["UBSAN_OPTIONS"] = f"log_path={self.root}/sanitizer"
        return {name: value for name, value in (variables | more).items() if value != "-"}

    def start(self, verb: str = "ADD", conf: bytes | None = None, *arguments: str, **environ: str) -> Any:
        """Start the shim and give it its stdin. A variable "-" is left out."""
        process = subprocess.Popen(
            [self.shim, *arguments],
            env=self.environ(verb, **environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.spawned.append(process)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(self.conf() if conf is None else conf)
            process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdin = None
        return process

    def call(self, verb: str = "ADD", conf: bytes | None = None, *arguments: str, **environ: str) -> tuple[int, str]:
        """Exit status and stdout of one call."""
        process = self.start(verb, conf, *arguments, **environ)
        out, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, out.decode()

    def error(self, verb: str = "ADD", conf: bytes | None = None, **environ: str) -> dict[str, Any]:
        """The error object of a call that fails."""
        status, out = self.call(verb, conf, **environ)
        assert status == 1, out
        found: dict[str, Any] = json.loads(out)
        return found

    def worker(self, front: subprocess.Popen[bytes]) -> int:
        """The worker of a call that runs."""
        pid: int = wait_for(lambda: children(front.pid), "the worker to start")[0]
        return pid

    def close(self) -> None:
        """End what a failed test left, then assert that nothing is left."""
        for process in self.spawned:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate(timeout=PATIENCE)
        reports = [path.read_text() for path in self.root.glob("sanitizer*")]
        assert reports == []


def leftovers() -> Iterator[int]:
    """Processes that were orphaned to us and still run; dead ones are reaped."""
    for pid in children(os.getpid()):
        if alive(pid):
            yield pid
        else:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def pid_of(path: Path) -> int:
    """The process id that a plugin writes into that file, once it has."""
    return int(wait_for(lambda: path.exists() and path.read_text().strip(), "the plugin to run"))


def run(connection: Connection, plugin: str, stdin: bytes = b"", seconds: float = 20.0, **environ: str) -> PluginExit:
    """Run a plugin for the call's container."""
    variables = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": connection.hello.environ.get("CNI_CONTAINERID", "")} | environ
    return connection.run(PluginCall(plugin, variables, stdin, time.monotonic() + seconds))


def run_aside(connection: Connection, plugin: str, seconds: float = 20.0) -> threading.Thread:
    """Run a plugin in a thread of its own; how that ends is of no interest."""

    def work() -> None:
        with contextlib.suppress(errors.CniError):
            run(connection, plugin, seconds=seconds)

    thread = threading.Thread(target=work)
    thread.start()
    return thread
