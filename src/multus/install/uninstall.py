"""Takes Multus off a node, and leaves one that creates and deletes pods with its default network.

Pods that have further networks would lose track of them: their deletion would go to the default network alone. So it is
refused while there are any, or waits for them, or detaches these networks (`multus.install.detaching`). The executables
stay: a runtime may have kept the configuration that it created a pod with, and executes what that one names
(`multus.install.lastorders`).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from multus import errors, log
from multus.cni import rawjson
from multus.host import clock, figures, records
from multus.install import files, generate, kubeconfig, lastorders, state
from multus.networks import delegates

if TYPE_CHECKING:
    from multus.install.settings import Settings

#: Seconds between two looks while pods are waited for.
PAUSE = 1.0


class Sandbox(NamedTuple):
    """A sandbox with networks beside the default one."""

    container_id: str
    pod: str
    networks: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.pod or self.container_id} ({', '.join(self.networks)})"


def busy(cni_dir: str) -> tuple[Sandbox, ...]:
    """The sandboxes on record that have further networks. Damaged records are set aside, as DEL does. Raises
    errors.IoFailure."""
    kept = records.RecordFiles(cni_dir, clock.SystemClock())
    found = []
    for container_id in kept.containers():
        try:
            record = kept.load(container_id, "eth0")
        except errors.DamagedRecord as error:
            log.warning("damaged record", error=error)
            continue
        networks = tuple(entry.name for entry in record.entries if not entry.master) if record else ()
        if record is not None and networks:
            pod = f"{record.pod.namespace}/{record.pod.name}" if record.pod.name else ""
            found.append(Sandbox(container_id, pod, networks))
    return tuple(found)


def wait(cni_dir: str, patience: float) -> None:
    """Until no sandbox has further networks. Raises errors.TryAgainLater naming those that do after `patience` seconds
    (0: refuses at once)."""
    until = time.monotonic() + patience
    while found := busy(cni_dir):
        if time.monotonic() >= until:
            named = ", ".join(str(one) for one in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
            raise errors.TryAgainLater(
                f"{len(found)} pods on this node have networks that only Multus can detach: {named}: delete them first"
                " (kubectl drain), or --detach, then again"
            )
        time.sleep(PAUSE)


def uninstall(told: Settings) -> tuple[str, ...]:
    """Take the runtime's configuration away, and what belongs to it; what was removed. Nobody puts it back until the
    next installation. What is left to do for sandboxes is `lastorders`' affair. Raises errors.IoFailure."""
    state.set_uninstalled(told.state_dir, True)
    before = state.load(told.state_dir)
    removed = [path for path in _configurations(told, before) if files.remove(path)]
    _bring_back(before.primary)
    others = (kubeconfig.NAME, state.NAME, figures.NAME)
    return (*removed, *(path for path in (os.path.join(told.state_dir, name) for name in others) if files.remove(path)))


def revoke(told: Settings) -> None:
    """There is Multus again. Raises errors.IoFailure."""
    lastorders.withdraw(told.cni_dir)
    state.set_uninstalled(told.state_dir, False)


def _configurations(told: Settings, before: state.State) -> list[str]:
    """Our files, and none of anybody else's under one of our names."""
    paths = {os.path.join(told.conf_dir, name) for name in generate.FILES}
    if before.file:
        paths.add(os.path.join(told.conf_dir, os.path.basename(before.file)))
    return sorted(path for path in paths if path == before.file or _is_multus(path))


def _is_multus(path: str) -> bool:
    try:
        data = files.find(path)
        raw = rawjson.loads_object(data, path) if data else {}
    except errors.CniError:
        # Half a file under our name: nobody else's.
        return True
    plugins = raw.get("plugins")
    members = plugins if isinstance(plugins, list) else [raw]
    return any(isinstance(one, dict) and one.get("type") in delegates.OWN_TYPES for one in members)


def _bring_back(primary: str) -> None:
    """A default network's file that was renamed (`--rename-conf-file`) gets its name again, or the node has none."""
    if primary and os.path.exists(f"{primary}.old") and not os.path.exists(primary):
        try:
            os.rename(f"{primary}.old", primary)
        except OSError as error:
            raise errors.IoFailure(f"can't rename {primary}.old: {error.strerror}") from error
