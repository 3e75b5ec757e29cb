"""Kill what takes part in a call, at a step of it (docs/faults.md names them), and look at what is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.runtime import PLUGINS, Runtime

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from support.runtime import Sandbox

#: Nothing that is waited for takes so long unless it hangs.
PATIENCE = 60.0

TESTS = Path(__file__).parents[1]

#: The plugins whose calls can be stopped before and after the real one has acted.
WRAPPED = ("bridge", "tuning", "host-local")

_WRAPPER = """#!/bin/sh
stop() {{
    [ -e "{dir}/armed/$1" ] || return 0
    rm "{dir}/armed/$1"
    : > "{dir}/reached"
    while [ ! -e "{dir}/go" ]; do sleep 0.01; done
}}
stop "$CNI_COMMAND $CNI_IFNAME {name} begins"
{real}
status=$?
stop "$CNI_COMMAND $CNI_IFNAME {name} ends"
exit $status
"""


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`; fails the test when there is none."""
    until = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < until, f"timed out: {what}"
        time.sleep(0.01)
    return value


def is_alive(pid: int) -> bool:
    """Whether that process exists and is no zombie."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] not in "ZX"
    return False


def children(pid: int) -> list[int]:
    """Its living direct children."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(one) for one in file.read().split()]
    return []


def working_for(container_id: str) -> list[int]:
    """Every living process whose environment names that container."""
    wanted = f"CNI_CONTAINERID={container_id}".encode()
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and wanted in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                found.append(int(name))
    return [pid for pid in found if is_alive(pid)]


def runs(sandbox: Sandbox, program: str) -> bool:
    """Whether such a program runs on behalf of the sandbox."""
    for pid in working_for(sandbox.container_id):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == f"{program}\n":
                return True
    return False


def begin(runtime: Runtime, verb: str, sandbox: Sandbox | None, conf: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Begin a call, and don't wait for its end."""
    call: subprocess.Popen[bytes] = runtime.spawn(verb, sandbox, conf)
    assert call.stdin is not None
    call.stdin.write(json.dumps(conf).encode())
    call.stdin.close()
    call.stdin = None
    return call


class Faults:
    """One runtime whose multus or daemon, and whose delegates, can be stopped and killed."""

    def __init__(self, runtime: Runtime, **scripts: str) -> None:
        self.runtime = runtime
        self.dir = runtime.dir / "faults"
        (self.dir / "armed").mkdir(parents=True)
        load = f"sys.path.insert(0, {str(TESTS)!r}); from support import failpoints; "
        runtime.prelude = f"{load}failpoints.install({str(self.dir)!r}); "
        plugins = runtime.own_plugins(**scripts)
        for name in WRAPPED:
            (plugins / name).unlink()  # a link to the real one
            (plugins / name).write_text(_WRAPPER.format(dir=self.dir, name=name, real=f"{PLUGINS}/{name}"))
            (plugins / name).chmod(0o755)
        self.calls: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        """Let go of everything, and end what a failed test left."""
        self.go()
        for call in self.calls:
            if call.poll() is None:
                call.kill()
            call.communicate(timeout=PATIENCE)

    def arm(self, step: str) -> None:
        """Stop the next process that comes to `step`."""
        for name in ("reached", "go"):
            (self.dir / name).unlink(missing_ok=True)
        (self.dir / "armed" / step).touch()

    def go(self) -> None:
        """Whoever is stopped goes on."""
        (self.dir / "go").touch()

    def begin(self, verb: str, sandbox: Sandbox | None, conf: dict[str, Any]) -> subprocess.Popen[bytes]:
        """Begin a call; its front is what the runtime knows."""
        self.calls.append(begin(self.runtime, verb, sandbox, conf))
        return self.calls[-1]

    def stopped_at(self, step: str, verb: str, sandbox: Sandbox | None, conf: dict[str, Any]) -> Any:
        """Begin a call, and wait until it has come to `step`."""
        self.arm(step)
        call = self.begin(verb, sandbox, conf)
        wait_for(lambda: (self.dir / "reached").exists() or call.poll() is not None, f"{verb} to come to {step!r}")
        assert call.poll() is None, f"{verb} never came to {step!r}: {call.communicate()}"
        return call

    def kill(self, victim: str, front: subprocess.Popen[bytes]) -> None:
        """SIGKILL: `multus` or `front`, `worker`, `shim` (both), `daemon`, `all` (of them), at once."""
        workers = children(front.pid) if victim in ("worker", "shim", "all") else []
        if victim in ("worker", "shim", "all"):
            assert len(workers) == 1
        if victim in ("daemon", "all"):
            assert self.runtime.daemon is not None
            self.runtime.daemon.kill()
        if victim in ("multus", "front", "shim", "all"):
            front.kill()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        if victim in ("daemon", "all"):
            self.runtime.stop_daemon(signal.SIGKILL)

    def answer(self, call: subprocess.Popen[bytes]) -> tuple[int, dict[str, Any]]:
        """Exit status of a call, and what it printed."""
        out, _ = call.communicate(timeout=PATIENCE)
        self.calls.remove(call)
        return call.returncode, json.loads(out) if out.strip() else {}

    def nothing_at_all(self, sandbox: Sandbox) -> None:
        """As `Runtime.nothing_left`; nor a process, a lock, or a file that was being written."""
        self.runtime.nothing_left(sandbox)
        wait_for(lambda: not working_for(sandbox.container_id), "delegates to end")
        assert [path.name for path in (self.runtime.cni_dir / ".locks").glob("*")] in ([], [".node"])
        assert list((self.runtime.socket_dir / "inflight").glob("*")) == []
