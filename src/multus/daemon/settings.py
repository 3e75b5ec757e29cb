"""`daemon-config.json`: what the daemon is told, and what it lays over each request (docs/configuration.md).

One file, three readers, as upstream has it: keys of the server, keys of the generator of the runtime's conf (not read
here), and keys of Multus itself, which are laid over what the runtime sends. Unknown keys are reported, never fatal:
the file may be of another version.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.cni import rawjson
from multus.networks import decoding, keys, netconf

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from multus.cni.rawjson import Json
    from multus.networks.netconf import LogOptions

DEFAULT_PATH = "/etc/cni/net.d/multus.d/daemon-config.json"

#: Read by the generator of the runtime's configuration.
GENERATOR_KEYS = (
    "capabilities",
    "multusConfigFile",
    "multusMasterCNI",
    "multusAutoconfigDir",
    "excludePrimary",
    "primaryPolicy",
    "primaryGrace",
    "slippedPods",
    "forceCNIVersion",
    "overrideNetworkName",
    "daemonSocketDir",
    "daemonWait",
    "daemonWaitDelete",
    "statusGrace",
)

#: Upstream's, and without meaning here; why is told where they are reported.
OBSOLETE = {
    "chrootDir": "delegates run on the host already",
    "enablePprof": "there is no Go profiler in a Python process",
}

#: Never laid over a request: what the request is about, and what the process, not the call, logs to.
OF_THE_REQUEST = (
    "cniVersion",
    "name",
    "type",
    "runtimeConfig",
    "prevResult",
    netconf.VALID_ATTACHMENTS,
    "logFile",
    "logLevel",
    "logToStderr",
    "logOptions",
)


class NodeCertificate(NamedTuple):
    """`perNodeCertificate`: a client certificate of this node's own. Not in force without both paths."""

    enabled: bool = False
    bootstrap: str = ""
    directory: str = ""
    duration: float = 600.0


_CERTIFICATE_KEYS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "enabled": ("enabled", decoding.boolean),
    "bootstrapKubeconfig": ("bootstrap", decoding.path),
    "certDir": ("directory", decoding.path),
    "certDuration": ("duration", decoding.certificate_life),
}


def _node_certificate(key: str, value: Any) -> NodeCertificate:
    found = NodeCertificate(**decoding.fields(decoding.mapping(key, value), _CERTIFICATE_KEYS, key))
    if found.enabled and not (found.bootstrap and found.directory):
        raise decoding.BadValue(
            f"failed to configure PerNodeCertificate: enabled: true, "
            f'BootstrapKubeconfig: "{found.bootstrap}", CertDir: "{found.directory}"'
        )
    return found


class Settings(NamedTuple):
    """What the process is told. Times are seconds; `overlay` is laid over each request's configuration."""

    socket_dir: str = "/run/multus"
    kubeconfig: str = ""
    node_certificate: NodeCertificate = NodeCertificate()
    node_name: str = ""
    cni_dir: str = netconf.MultusConf().cni_dir
    conf_dir: str = "/etc/cni/net.d"
    bin_dir: str = netconf.MultusConf().bin_dir
    log_file: str = ""
    log_level: str = ""
    log_to_stderr: bool = False
    log_options: LogOptions = netconf.LogOptions()
    metrics_port: int = 0
    connection_limit: int = 0
    delegate_limit: int = 0
    handler_limit: int = 64
    grace_period: float = 20.0
    watch_all_pods: bool = False
    run_delegates: bool = False
    overlay: Json = {}  # noqa: RUF012 - never changed


_KEYS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "socketDir": ("socket_dir", decoding.path),
    "kubeconfig": ("kubeconfig", decoding.path),
    "perNodeCertificate": ("node_certificate", _node_certificate),
    "nodeName": ("node_name", decoding.string),
    "cniDir": ("cni_dir", decoding.path),
    "cniConfigDir": ("conf_dir", decoding.path),
    "binDir": ("bin_dir", decoding.path),
    "logFile": ("log_file", decoding.path),
    "logLevel": ("log_level", decoding.string),
    "logToStderr": ("log_to_stderr", decoding.boolean),
    "logOptions": ("log_options", netconf.log_options),
    "metricsPort": ("metrics_port", decoding.whole),
    "connectionLimit": ("connection_limit", decoding.whole),
    "delegateLimit": ("delegate_limit", decoding.whole),
    "handlerLimit": ("handler_limit", decoding.whole),
    "gracePeriod": ("grace_period", decoding.duration),
    "watchAllPods": ("watch_all_pods", decoding.boolean),
    "runDelegates": ("run_delegates", decoding.boolean),
}

#: Every key the daemon itself reads, as docs/configuration.md lists them.
KEYS = tuple(_KEYS)


def load(path: str, node_name: str = "") -> tuple[Settings, tuple[str, ...]]:
    """The settings in the file, and what is to be reported about it. `node_name` counts where the file names none.

    Raises errors.IoFailure, errors.DecodeError, errors.InvalidConfig, all naming the file."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise errors.IoFailure(f"daemon configuration {path}: {error.strerror}") from error
    return loads(data, f"daemon configuration {path}", node_name)


def loads(data: bytes, what: str, node_name: str = "") -> tuple[Settings, tuple[str, ...]]:
    """As `load`, of the file's content."""
    raw = rawjson.loads_object(data, what)
    settings = Settings(**decoding.fields(raw, _KEYS, what), overlay=_overlay(raw, what))
    if _given(raw, "connectionLimit") and settings.connection_limit <= 0:
        raise errors.InvalidConfig(f"{what}: connection limit must be greater than 0, got {settings.connection_limit}")
    if settings.handler_limit <= 0:
        raise errors.InvalidConfig(f"{what}: handlerLimit must be greater than 0")
    return settings._replace(node_name=settings.node_name or node_name), _remarks(raw)


def delegate_limit(settings: Settings) -> int:
    """How many delegates may run at once on the node: what is set, else four a CPU and at least eight."""
    return settings.delegate_limit or max(8, 4 * (os.cpu_count() or 1))


def laid_over(raw: Json, settings: Settings) -> Json:
    """A request's configuration with the daemon's over it. Keys differing in case are one key (`keys.known`)."""
    if not settings.overlay:
        return raw
    replaced = {key.lower() for key in settings.overlay}
    return {key: value for key, value in raw.items() if key.lower() not in replaced} | settings.overlay


def _overlay(raw: Json, what: str) -> Json:
    """Multus' own keys of the file, checked as those of a request are."""
    found = {key: value for key, value in keys.known(raw, netconf.KEYS).items() if key not in OF_THE_REQUEST}
    netconf.check(found, what)
    return found


def _given(raw: Json, key: str) -> bool:
    return key in keys.known(raw, (key,))


def _remarks(raw: Json) -> tuple[str, ...]:
    meant = {key.lower() for key in (*KEYS, *netconf.KEYS, *GENERATOR_KEYS)}
    obsolete = {key.lower(): why for key, why in OBSOLETE.items()}
    remarks = []
    for key in raw:
        if key.lower() in obsolete:
            remarks.append(f"key {key} has no effect: {obsolete[key.lower()]}")
        elif key.lower() not in meant:
            remarks.append(f"unknown key {key!r} is ignored")
    return tuple(remarks)
