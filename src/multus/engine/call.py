"""One call of the runtime and everything a verb may touch, as two values handed down."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus import ports
    from multus.cni.arguments import Pairs, PodArgs
    from multus.cni.environment import Environment
    from multus.networks.netconf import MultusConf


class _Members(NamedTuple):
    environment: Environment
    args: Pairs
    pod: PodArgs
    conf: MultusConf
    path: str
    deadline: float


class Call(_Members):
    """What the runtime asks. `deadline` is the end of the whole call's budget (`Clock.monotonic()` seconds);
    `path` is the CNI_PATH that delegates are given (binDir first, then the runtime's)."""

    @property
    def container_id(self) -> str:
        """CNI_CONTAINERID."""
        return self.environment.container_id

    @functools.cached_property
    def pod_id(self) -> str:
        """The pod as messages name it: ``namespace/name/uid``, none longer than Kubernetes allows."""
        return f"{self.pod.namespace[:253]}/{self.pod.name[:253]}/{self.pod.uid[:253]}"


class Ports(NamedTuple):
    """The outside world. `later` takes work to be done once the answer is given; it must not fail the call."""

    executor: ports.Executor
    cluster: ports.Cluster | None
    records: ports.Records
    results: ports.Results
    conf_files: ports.ConfFiles
    netlink: ports.Netlink
    devices: ports.Devices | None
    clock: ports.Clock
    later: Callable[[Callable[[], None]], None]
    device_files: ports.DeviceFiles | None = None
