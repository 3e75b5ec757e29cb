"""Multus' own configuration: every key, its type, its default (docs/configuration.md).

Decoding follows the Go original: keys match exactly, else without regard to case; unknown keys are ignored; null
leaves the default; a wrong type is an error that names the key. An empty path, `systemNamespaces` or
`multusNamespace` leaves the default too.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.cni import rawjson, versions
from multus.networks import decoding

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.cni.rawjson import Json
    from multus.networks.delegates import Delegate

WHAT = "LoadNetConf: failed to load netconf"

VALID_ATTACHMENTS = "cni.dev/valid-attachments"


class LogOptions(NamedTuple):
    """Rotation of `logFile`: days, megabytes, files."""

    max_age: int = 5
    max_size: int = 100
    max_backups: int = 5
    compress: bool = True


class _Members(NamedTuple):
    cni_version: str = ""
    name: str = ""
    type: str = ""
    kubeconfig: str = ""
    conf_dir: str = "/etc/cni/multus/net.d"
    cni_dir: str = "/var/lib/cni/multus"
    bin_dir: str = "/opt/cni/bin"
    manifests_dir: str = ""
    delegates: tuple[Json, ...] = ()
    cluster_network: str = ""
    default_networks: tuple[str, ...] = ()
    system_namespaces: tuple[str, ...] = ("kube-system",)
    multus_namespace: str = "kube-system"
    namespace_isolation: bool = False
    global_namespaces: tuple[str, ...] = ("default",)
    readiness_indicator_file: str = ""
    log_file: str = ""
    log_level: str = ""
    log_to_stderr: bool = True
    log_options: LogOptions = LogOptions()
    auxiliary_cni_chain_name: str = ""
    retry_delete_on_error: bool = True
    delegate_concurrency: str = "strict"
    parallel_plugins: tuple[str, ...] = ()
    status_timeout: float = 10.0
    status_policy: str = "require"
    strict_capabilities: bool = False
    device_shortage: str = "error"
    device_info_dir: str = "/var/run/k8s.cni.cncf.io/devinfo"
    pod_resources_socket: str = "/var/lib/kubelet/pod-resources/kubelet.sock"
    device_checkpoint: str = "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint"
    add_timeout: float = 200.0
    rollback_reserve: float = 30.0
    delete_timeout: float = 50.0
    check_timeout: float = 100.0
    gc_timeout: float = 100.0
    status_verb_timeout: float = 2.0
    runtime_config: Json = {}  # noqa: RUF012 - never changed
    prev_result: Json | None = None
    valid_attachments: tuple[tuple[str, str], ...] | None = None


class MultusConf(_Members):
    """The configuration of one call. Times are seconds; `valid_attachments` is None when the key is missing."""

    @functools.cached_property
    def first_delegate(self) -> Delegate:
        """The default network in `delegates`. Raises errors.InvalidConfig."""
        from multus.networks import delegates

        return delegates.static(self.delegates[0], master=True)


def loads(data: bytes) -> MultusConf:
    """The configuration on stdin. Raises errors.DecodeError, errors.InvalidConfig naming the key."""
    return from_object(rawjson.loads_object(data, f"{WHAT}: the text on stdin"))


def from_object(raw: Json) -> MultusConf:
    """As `loads`, of JSON that is read already."""
    conf = check(raw, WHAT)
    _check_previous(conf)
    if not conf.delegates and not conf.cluster_network:
        raise errors.InvalidConfig("LoadNetConf: at least one delegate/clusterNetwork must be specified")
    return conf


def check(raw: Json, what: str) -> MultusConf:
    """What some of the keys say, whether they name a network or not. Raises errors.InvalidConfig naming `what` and the
    first key of `raw` that has a value it can't have."""
    conf = MultusConf(**decoding.fields(raw, _KEYS, what))
    if conf.rollback_reserve >= conf.add_timeout:
        raise errors.InvalidConfig(
            f"{what}: rollbackReserve ({conf.rollback_reserve:g} s) must be shorter than addTimeout"
            f" ({conf.add_timeout:g} s): set both"
        )
    return conf


def _check_previous(conf: MultusConf) -> None:
    """A prevResult is not passed on, but one that can't be of this version is refused as upstream does."""
    if conf.prev_result is not None:
        from multus.cni import results

        try:
            results.parse(conf.prev_result, versions.normalise(conf.cni_version), "prevResult")
        except errors.CniError as error:
            raise error.within("LoadNetConf: could not parse prevResult") from error


def _delegates(key: str, value: Any) -> tuple[Json, ...]:
    if not isinstance(value, list):
        raise decoding.wrong(key, "a list of objects", value)
    for number, member in enumerate(value):
        if not isinstance(member, dict):
            raise errors.InvalidConfig(
                f"LoadNetConf: failed to load delegate {number} config: it must be an object, not"
                f" {rawjson.kind(member)}"
            )
    return tuple(value)


def log_options(key: str, value: Any) -> LogOptions:
    """A decoder (`multus.networks.decoding`) of rotation."""
    return LogOptions(**decoding.fields(decoding.mapping(key, value), _LOG_KEYS, key))


def _attachments(key: str, value: Any) -> tuple[tuple[str, str], ...]:
    """The runtime's list (specification, GC): objects with containerID and ifname."""
    if not isinstance(value, list):
        raise decoding.wrong(key, "a list", value)
    pairs = []
    for member in value:
        container_id = member.get("containerID") if isinstance(member, dict) else None
        ifname = member.get("ifname") if isinstance(member, dict) else None
        if not isinstance(container_id, str) or not isinstance(ifname, str):
            raise decoding.BadValue(f"members of {key} need containerID and ifname")
        pairs.append((container_id, ifname))
    return tuple(pairs)


_LOG_KEYS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "maxAge": ("max_age", decoding.whole),
    "maxSize": ("max_size", decoding.whole),
    "maxBackups": ("max_backups", decoding.whole),
    "compress": ("compress", decoding.boolean),
}

_KEYS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "cniVersion": ("cni_version", decoding.string),
    "name": ("name", decoding.string),
    "type": ("type", decoding.string),
    "kubeconfig": ("kubeconfig", decoding.path),
    "confDir": ("conf_dir", decoding.path),
    "cniConf": ("conf_dir", decoding.path),
    "cniDir": ("cni_dir", decoding.path),
    "binDir": ("bin_dir", decoding.path),
    "manifestsDir": ("manifests_dir", decoding.path),
    "delegates": ("delegates", _delegates),
    "clusterNetwork": ("cluster_network", decoding.string),
    "defaultNetworks": ("default_networks", decoding.strings),
    "systemNamespaces": ("system_namespaces", decoding.some_strings),
    "multusNamespace": ("multus_namespace", decoding.path),
    "namespaceIsolation": ("namespace_isolation", decoding.boolean),
    "globalNamespaces": ("global_namespaces", decoding.some_strings),
    "readinessindicatorfile": ("readiness_indicator_file", decoding.path),
    "logFile": ("log_file", decoding.path),
    "logLevel": ("log_level", decoding.string),
    "logToStderr": ("log_to_stderr", decoding.boolean),
    "logOptions": ("log_options", log_options),
    "auxiliaryCNIChainName": ("auxiliary_cni_chain_name", decoding.string),
    "retryDeleteOnError": ("retry_delete_on_error", decoding.boolean),
    "delegateConcurrency": ("delegate_concurrency", decoding.one_of("strict", "auto")),
    "parallelPlugins": ("parallel_plugins", decoding.strings),
    "statusTimeout": ("status_timeout", decoding.duration),
    "statusPolicy": ("status_policy", decoding.one_of("require", "background")),
    "strictCapabilities": ("strict_capabilities", decoding.boolean),
    "deviceShortage": ("device_shortage", decoding.one_of("error", "ignore")),
    "deviceInfoDir": ("device_info_dir", decoding.path),
    "podResourcesSocket": ("pod_resources_socket", decoding.path),
    "deviceCheckpoint": ("device_checkpoint", decoding.path),
    "addTimeout": ("add_timeout", decoding.duration),
    "rollbackReserve": ("rollback_reserve", decoding.duration),
    "deleteTimeout": ("delete_timeout", decoding.duration),
    "checkTimeout": ("check_timeout", decoding.duration),
    "gcTimeout": ("gc_timeout", decoding.duration),
    "statusVerbTimeout": ("status_verb_timeout", decoding.duration),
    "runtimeConfig": ("runtime_config", decoding.mapping),
    "prevResult": ("prev_result", decoding.mapping),
    VALID_ATTACHMENTS: ("valid_attachments", _attachments),
}

#: Every key of the configuration, as docs/configuration.md lists them.
KEYS = tuple(_KEYS)
