"""What the shim still has to do for each sandbox once Multus is uninstalled: `<cniDir>/last-orders/<containerID>`.

CRI-O deletes a pod with the configuration that it was created with, so it goes on executing `multus-shim` for the pods
of before. There is no daemon any more that would tell it what to do. Therefore it is told beforehand: the engine's own
DEL is carried out on paper, and its orders are written down as the frames that a daemon would have sent. The shim
carries them out one after the other; the files that they no longer need, their own included, are the last of them. When
the directory is empty, it removes itself.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from multus import errors, log
from multus.cni import arguments, environment, invoke
from multus.cni.invoke import PluginExit
from multus.engine import delete
from multus.engine.call import Call, Ports
from multus.execproto import frames
from multus.host import atomic, clock, conffiles, netlink, records
from multus.host import results as result_files
from multus.install import binaries, files
from multus.networks import netconf

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multus.cni.invoke import Ended, PluginCall

#: Of a plugin's environment: what the runtime says when the time has come, and what the shim always says itself.
_NOT_WRITTEN = ("CNI_NETNS", "CNI_PATH")

#: The default network's interface, in records that don't say.
IFNAME = "eth0"

#: How long calls that have begun are waited for, in seconds: they may still change what is on record.
BARRIER = 10.0


class Paper:
    """An executor that writes orders down (`ports.Executor`), and whoever removes files."""

    def __init__(self, deadline: float) -> None:
        self.frames: list[bytes] = []
        self._deadline = deadline

    def prepare(self, call: PluginCall) -> None:
        """As `ports.Executor.prepare`."""

    def run(self, call: PluginCall) -> PluginExit:
        """As `ports.Executor.run`: it will succeed."""
        environ = {name: value for name, value in call.environ.items() if name not in _NOT_WRITTEN}
        order = frames.Exec(self._deadline, call.plugin, environ, call.stdin)
        self.frames.append(frames.exec_order(len(self.frames), order))
        return PluginExit(0, b"", b"")

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterable[Ended]:
        """As `ports.Executor.series`."""
        return invoke.in_turn(self, calls, go_on=go_on)

    def exists(self, path: str) -> bool:
        """As `ports.Executor.exists`: whether the sandbox lives will be seen then."""
        return True

    def forget(self, path: str) -> None:
        """Remove the file, when all before has succeeded."""
        self.frames.append(frames.path_order(frames.FORGET, len(self.frames), path))

    def end(self) -> bytes:
        """All that was written, with the answer to the runtime: nothing, a success."""
        return b"".join((*self.frames, frames.answer(frames.Answer(0, b""))))


class _Records(records.RecordFiles):
    """The records, to be removed later."""

    def __init__(self, cni_dir: str, paper: Paper) -> None:
        super().__init__(cni_dir, clock.SystemClock())
        self._paper = paper

    def remove(self, container_id: str) -> None:
        self._paper.forget(self._path(container_id))


class _Results(result_files.ResultFiles):
    """The cached results, to be removed later."""

    def __init__(self, cni_dir: str, paper: Paper) -> None:
        super().__init__(cni_dir)
        self._paper = paper

    def remove(self, network: str, container_id: str, ifname: str) -> None:
        self._paper.forget(self._path(network, container_id, ifname))


def directory(cni_dir: str) -> str:
    """Where they are; that it exists tells shims that Multus is uninstalled."""
    return os.path.join(cni_dir, records.LAST_ORDERS)


def leave(cni_dir: str, *, thick: bool) -> int:
    """Write them for every sandbox on record, anew; for how many. The one-shot plugin, which stays too, needs none: it
    has the records. A sandbox that they can't be written for is logged and left out. Raises errors.IoFailure."""
    withdraw(cni_dir)
    try:
        os.makedirs(directory(cni_dir), 0o700, exist_ok=True)
    except OSError as error:
        raise errors.IoFailure(f"can't make {directory(cni_dir)}: {error.strerror}") from error
    _wait_for_calls(cni_dir)
    return sum(_leave(cni_dir, container_id) for container_id in _sandboxes(cni_dir)) if thick else 0


def withdraw(cni_dir: str) -> None:
    """There is Multus again: it knows what to do from its records. Raises errors.IoFailure."""
    path = directory(cni_dir)
    try:
        for name in os.listdir(path):
            atomic.remove(os.path.join(path, name))
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise errors.IoFailure(f"can't remove {path}: {error.strerror}") from error


def orders(cni_dir: str, container_id: str) -> bytes:
    """The DEL of that sandbox, on paper. Raises errors.CniError."""
    request = environment.Environment("DEL", container_id, ifname=IFNAME)
    conf = netconf.MultusConf(cni_dir=cni_dir)
    paper = Paper(conf.delete_timeout)
    call = Call(request, (), arguments.PodArgs(), conf, "", time.monotonic() + conf.delete_timeout)
    ports = _ports(conf, paper)
    if delete.load(call, ports) is None:
        raise errors.DamagedRecord("nothing is known of it")
    delete.run(call, ports)
    paper.forget(os.path.join(directory(cni_dir), container_id))
    return paper.end()


def _ports(conf: netconf.MultusConf, paper: Paper) -> Ports:
    return Ports(
        executor=paper,
        cluster=None,
        records=_Records(conf.cni_dir, paper),
        results=_Results(conf.cni_dir, paper),
        conf_files=conffiles.ConfDirectory(conf.conf_dir),
        netlink=netlink.LocalNetlink(),
        devices=None,
        clock=clock.SystemClock(),
        later=lambda _: None,
    )


def _leave(cni_dir: str, container_id: str) -> bool:
    try:
        atomic.write(os.path.join(directory(cni_dir), container_id), orders(cni_dir, container_id))
    except errors.CniError as error:
        log.error("no last orders: its DEL will need another installation", container=container_id, error=error)
        return False
    return True


def _sandboxes(cni_dir: str) -> list[str]:
    recorded = records.RecordFiles(cni_dir, clock.SystemClock()).containers()
    cached = (found.container_id for found in result_files.ResultFiles(cni_dir).all())
    return sorted({*recorded, *cached})


def _wait_for_calls(cni_dir: str) -> None:
    """Until none runs that began before."""
    try:
        with records.RecordFiles(cni_dir, clock.SystemClock()).exclusive(time.monotonic() + BARRIER):
            pass
    except errors.TryAgainLater as error:
        log.warning("calls are still running, what they attach has no last orders", error=error)


def remove_executables(cni_dir: str, directory_: str) -> list[str]:
    """Remove ours where no last orders are left; what was removed. Raises errors.IoFailure."""
    try:
        os.rmdir(directory(cni_dir))
    except OSError:
        return []
    paths = (os.path.join(directory_, name) for name in binaries.OF_TYPE["thick"])
    return [path for path in paths if files.remove(path)]
