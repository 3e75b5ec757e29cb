"""What the engine needs of the outside world, one narrow protocol per thing.

The engine (`multus.engine`) is plain synchronous code that touches nothing itself: it is handed these. Each has an
adapter for this machine (`multus.host`, `multus.kubernetes`, `multus.manifests`) and a fake in `multus.testing`.
A *deadline* is always a reading of `Clock.monotonic()` in seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from multus.cni.arguments import Pairs, PodArgs
    from multus.cni.config import NetworkConfig
    from multus.cni.invoke import Ended, PluginCall, PluginExit
    from multus.cni.rawjson import Json
    from multus.cni.results import Result
    from multus.networks.claims import PodClaims
    from multus.networks.nad import Nad
    from multus.networks.record import Record
    from multus.networks.routes import KernelRoute, Link

    #: What `Results.keep` needs of `Results.opening`: a path, and what it writes before a result. The adapter's affair.
    Opening = tuple[str, bytes]


class Executor(Protocol):
    """Hands on the host: runs plugins and looks at files there."""

    def prepare(self, call: PluginCall) -> None:
        """Told of a call that is to be run soon: what can be made beforehand is made. Never raises."""
        ...

    def run(self, call: PluginCall) -> PluginExit:
        """Run one plugin to its end; `call.worked` says how long it took, and whether it began at all. Raises
        errors.PluginNotFound, errors.PluginUnusable, errors.PluginTimeout."""
        ...

    def series(self, calls: Sequence[PluginCall], *, go_on: bool) -> Iterable[Ended]:
        """Run plugins one after another; unless `go_on`, the first that does not succeed is the last. How each of them
        ended that came to its turn. A plugin may be at work before the end of the one before it has been taken."""
        ...

    def exists(self, path: str) -> bool:
        """Whether `path` exists on the host (``readinessindicatorfile``)."""
        ...


class Pod(NamedTuple):
    """The fields of a pod that decisions need."""

    namespace: str
    name: str
    uid: str
    annotations: Mapping[str, str]
    #: A static (mirror) pod: its UID in the API is not the one the runtime knows.
    static: bool = False
    #: Its resource claims, None when it has none (dynamic resource allocation).
    claims: PodClaims | None = None


class Cluster(Protocol):
    """Pods and NetworkAttachmentDefinitions, wherever they are kept."""

    def pod(self, namespace: str, name: str, uid: str, deadline: float) -> Pod | None:
        """The pod, None when it does not exist. `uid` (may be empty) says which one the caller means: a cache that
        holds another one asks the source. Raises errors.ClusterError (transient), errors.Denied."""
        ...

    def network(self, namespace: str, name: str, deadline: float) -> Nad:
        """The NetworkAttachmentDefinition. Raises errors.NotFound, errors.ClusterError, errors.Denied."""
        ...

    def set_status(self, pod: Pod, status: str, deadline: float) -> None:
        """Write the network-status annotation of this very pod (guarded by its UID, other annotations untouched).

        Raises errors.NotFound when the pod is gone or another one has its name, errors.ClusterError, errors.Denied."""
        ...

    def event(self, pod: Pod, kind: str, reason: str, message: str) -> None:
        """Queue an event on the pod (`kind` "Normal" or "Warning"). Never raises, never waits."""
        ...


class CachedResult(NamedTuple):
    """What libcni keeps of one attachment (`<cniDir>/results/<network>-<containerID>-<ifname>`)."""

    network: str
    container_id: str
    ifname: str
    netns: str
    config: NetworkConfig | None
    args: Pairs
    capability_args: Json
    result: Result | None


class Records(Protocol):
    """`<cniDir>/<containerID>`: what was attached to each sandbox; the truth that DEL, CHECK and GC work from."""

    def load(self, container_id: str, runtime_ifname: str) -> Record | None:
        """The record, None when there is none. A damaged one is set aside and errors.DamagedRecord raised."""
        ...

    def save(self, container_id: str, record: Record) -> None:
        """Write it atomically. Raises errors.IoFailure. It is durable once `sync` returned."""
        ...

    def sync(self, container_id: str) -> None:
        """Make the last `save` of that sandbox durable (waits for the disk). Raises errors.IoFailure."""
        ...

    def remove(self, container_id: str) -> None:
        """Forget it; no error when there is none."""
        ...

    def containers(self) -> Sequence[str]:
        """The container ids that have a record, sorted."""
        ...

    def superseded(self, container_id: str, pod: PodArgs) -> bool:
        """Whether a DEL removed the record meanwhile, or a newer sandbox of the same pod has one."""
        ...

    def lock(self, container_id: str, deadline: float) -> AbstractContextManager[None]:
        """Held by one call per sandbox at a time, beside other sandboxes' calls, never beside `exclusive`.
        Raises errors.TryAgainLater at the deadline."""
        ...

    def exclusive(self, deadline: float) -> AbstractContextManager[None]:
        """Held by GC: no other call of this node runs meanwhile. Raises errors.TryAgainLater at the deadline."""
        ...


class Results(Protocol):
    """The cached results, in libcni's format."""

    def load(self, network: str, container_id: str, ifname: str) -> CachedResult | None:
        """The cached result; None when absent or unreadable (a damaged one is set aside)."""
        ...

    def of(self, container_id: str) -> Sequence[CachedResult]:
        """Every cached result of one sandbox, in the order they were written."""
        ...

    def save(self, cached: CachedResult) -> None:
        """Write it atomically. Raises errors.IoFailure."""
        ...

    def opening(self, cached: CachedResult) -> Opening:
        """What `keep` writes of an attachment before its result: made while nobody waits."""
        ...

    def keep(self, cached: CachedResult, opening: Opening, printed: bytes) -> None:
        """As `save`, of a result that is still what its plugin printed, and that nobody has read yet; where it turns
        out to be none, it is damaged. Raises errors.IoFailure."""
        ...

    def remove(self, network: str, container_id: str, ifname: str) -> None:
        """Forget it; no error when there is none."""
        ...

    def all(self) -> Sequence[CachedResult]:
        """Every readable cached result."""
        ...


class ConfFiles(Protocol):
    """CNI configuration files on this machine (`confDir`, and clusterNetwork given as a path)."""

    def by_name(self, name: str) -> NetworkConfig | None:
        """The configuration in `confDir` whose `name` is that; conflists before single ones (NPWG 3.4.1), then
        directory order. A file that can't be parsed is skipped with a warning. None when there is none."""
        ...

    def by_path(self, path: str) -> NetworkConfig:
        """A file, or the first suitable file of a directory; a .conflist gains the plugins of its
        `<name>/*.conf` subdirectory. Raises errors.InvalidConfig, errors.IoFailure."""
        ...

    def chain(self, name: str, beside: str, cni_version: str) -> NetworkConfig | None:
        """The auxiliary chain: a passthru list named `name` with the plugins of `<dir of beside>/<name>/*.conf`;
        None when there are no such files. A directory that can't be read is a warning, not an error."""
        ...


class SandboxNet(Protocol):
    """A route netlink socket inside one sandbox's network namespace. It pins the namespace: close it soon."""

    def links(self) -> Sequence[Link]:
        """All interfaces. Raises errors.IoFailure, as do all methods here."""
        ...

    def default_routes(self) -> Sequence[KernelRoute]:
        """The default routes of both families in the main table."""
        ...

    def add_default(self, family: str, gateway: str, ifindex: int) -> None:
        """Make it the default route of metric 0 (an existing one of that metric is replaced); a gateway that is not
        on-link is reached by `onlink`."""
        ...

    def delete_route(self, route: KernelRoute) -> None:
        """Delete exactly this route; no error when it is gone already."""
        ...

    def close(self) -> None:
        """Release the namespace."""
        ...


class Netlink(Protocol):
    """Opens sockets inside sandboxes."""

    def open(self, netns: str) -> SandboxNet:
        """Raises errors.IoFailure (no such namespace), errors.SameNamespace (it is the host's)."""
        ...


class Devices(Protocol):
    """Devices that the node's resource managers (device plugins, DRA drivers) gave to pods."""

    def ids(self, pod: Pod, deadline: float) -> Mapping[str, Sequence[str]]:
        """Resource name -> device ids in the order they are to be handed out, each as often as it was given; empty
        for a pod that owns none. Raises errors.CniError when it can't be learnt."""
        ...


class DeviceFiles(Protocol):
    """Device information files (NPWG device-info 1.1). A `name` is one file of the attachments' directory."""

    def share(self, resource: str, device_id: str, name: str) -> None:
        """Make `name` a copy of what the device plugin published of the device, if it published anything. Raises
        errors.CniError."""
        ...

    def load(self, name: str) -> Json | None:
        """The device-info in `name`; None when there is no such file. Raises errors.CniError for anything else."""
        ...

    def remove(self, name: str) -> None:
        """Forget it; no error when there is none. Raises errors.IoFailure."""
        ...


class Clock(Protocol):
    """Time."""

    def monotonic(self) -> float:
        """Seconds, never going back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
