"""Pods that come and go, many at once, while a test restarts or kills the daemon."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from support.runtime import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from support.runtime import Runtime, Sandbox

#: A plugin without effect but this: it holds a file for as long as its interface is attached. ADD fails when there is
#: one already, as it does in a plugin that makes links.
HOLDER = """
held={dir}/"$CNI_CONTAINERID-$CNI_IFNAME"
case $CNI_COMMAND in
ADD)
    if ! (set -C; : > "$held") 2>/dev/null; then
        echo '{{"cniVersion": "1.0.0", "code": 100, "msg": "attached twice"}}'; exit 1
    fi
    echo '{{"cniVersion": "1.0.0", "interfaces": [{{"name": "'"$CNI_IFNAME"'", "sandbox": "'"$CNI_NETNS"'"}}]}}' ;;
DEL) rm -f "$held" ;;
esac
"""

#: Retries of one call: a runtime has more patience.
TRIES = 10


class Failure(NamedTuple):
    """A call that failed, and when it began and ended (monotonic seconds)."""

    verb: str
    begun: float
    ended: float
    code: int
    message: str


class Load:
    """Calls from many threads; what failed of them, and what is attached."""

    def __init__(self, runtime: Runtime, conf: dict[str, Any]) -> None:
        self.runtime = runtime
        self.conf = conf
        self.failures: list[Failure] = []
        self._changed = threading.Condition()
        self._done = 0

    def run(self, width: int, tasks: Iterable[Callable[[], None]], meanwhile: Callable[[], None]) -> None:
        """All of `tasks`, `width` of them at once, and `meanwhile` beside them. Raises what any of them raised."""
        with ThreadPoolExecutor(width) as pool:
            running = [pool.submit(task) for task in tasks]
            try:
                meanwhile()
            finally:
                for one in running:
                    one.result()

    def wait(self, calls: int) -> None:
        """Wait until so many calls have succeeded since the load began."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._done >= calls, 300), self.failures[:10]

    def add(self, pod: Sandbox) -> None:
        """ADD as a kubelet has it: what failed is deleted before it is tried again."""
        for _ in range(TRIES):
            if self._succeeds("ADD", pod):
                return
            self.delete(pod)
        raise AssertionError(self.failures[-1])

    def delete(self, pod: Sandbox) -> None:
        """DEL, again and again until it succeeds."""
        for _ in range(TRIES):
            if self._succeeds("DEL", pod):
                return
        raise AssertionError(self.failures[-1])

    def only_around(self, moments: Iterable[float]) -> None:
        """Assert that every failure was code 11 of a call that was running at one of `moments`."""
        killed = list(moments)
        for one in self.failures:
            assert one.code == 11, one
            assert any(one.begun <= moment <= one.ended for moment in killed), (one, killed)

    def _succeeds(self, verb: str, pod: Sandbox) -> bool:
        begun = time.monotonic()
        try:
            self.runtime.call(verb, pod, self.conf)
        except PluginError as error:
            with self._changed:
                self.failures.append(Failure(verb, begun, time.monotonic(), error.code, str(error)))
            return False
        with self._changed:
            self._done += 1
            self._changed.notify_all()
        return True


def orderly(runtime: Runtime) -> None:
    """SIGTERM, and a new daemon once the old one has ended: as a DaemonSet's update."""
    assert runtime.stop_daemon() == 0
    runtime.start_daemon()


def handed_over(runtime: Runtime) -> None:
    """A new daemon first, SIGTERM to the old one then: as an update with a surge."""
    old = runtime.daemon
    assert old is not None
    socket = (runtime.socket_dir / "exec.sock").stat().st_ino
    runtime.start_daemon()
    until = time.monotonic() + 60
    while (runtime.socket_dir / "exec.sock").stat().st_ino == socket:
        assert time.monotonic() < until, "the new daemon does not listen"
        time.sleep(0.01)
    old.terminate()
    assert old.wait(60) == 0


def killed(runtime: Runtime) -> float:
    """SIGKILL, and a new daemon; when that was."""
    assert runtime.daemon is not None
    runtime.daemon.kill()
    moment = time.monotonic()
    assert runtime.stop_daemon() == -9
    runtime.start_daemon()
    return moment
