"""Calls `multus` as a container runtime does: CNI_* variables, the configuration on stdin, the answer on stdout."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.ctl.demo import machine, topology

if TYPE_CHECKING:
    from multus.cni.rawjson import Json
    from multus.ctl.demo.requirements import Programs
    from multus.ctl.demo.topology import Pod


class Call(NamedTuple):
    """One call that succeeded, and how long it took."""

    verb: str
    pod: str
    milliseconds: float


class Runtime:
    """The container runtime of the demo's node."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._conf = json.dumps(topology.configuration(programs.plugins))
        #: Every successful call, in order.
        self.calls: list[Call] = []

    def call(self, verb: str, pod: Pod) -> Call:
        """One verb for one pod. Raises errors.CniError: the plugin's own, or that it gave no usable answer."""
        started = time.monotonic()
        done = machine.inside(topology.HOST, [self._programs.multus], self._conf, self._environ(verb, pod))
        if done.status:
            raise failure(verb, pod.name, done)
        made = Call(verb, pod.name, (time.monotonic() - started) * 1000)
        self.calls.append(made)
        return made

    def _environ(self, verb: str, pod: Pod) -> dict[str, str]:
        identity = {
            "IgnoreUnknown": "1",
            "K8S_POD_NAMESPACE": topology.NAMESPACE,
            "K8S_POD_NAME": pod.name,
            "K8S_POD_INFRA_CONTAINER_ID": pod.container_id,
        }
        return {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": pod.container_id,
            "CNI_NETNS": str(topology.NETNS_DIR / pod.netns),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": self._programs.plugins,
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in identity.items()),
        }


def failure(verb: str, pod: str, done: machine.Done) -> errors.CniError:
    """The error object that the plugin printed, or what it said instead of one."""
    try:
        printed: Json = json.loads(done.stdout)
        return errors.CniError(printed["msg"], details=printed.get("details", ""), code=printed["code"])
    except (ValueError, TypeError, KeyError):
        said = " ".join((done.stderr or done.stdout).split())[-400:]
        return errors.PluginFailed(f"multus {verb} for pod {pod} ended with status {done.status}: {said or 'silence'}")
