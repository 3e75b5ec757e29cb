"""The installer's keys of `daemon-config.json` (docs/configuration.md): the file has other readers for the others.

Decoding is that of Multus' own configuration. For the one-shot plugin there is no such file: `thin_entrypoint` makes
the same value out of its flags.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.cni import rawjson
from multus.host import figures
from multus.install import files, generate, primary
from multus.networks import decoding, keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from multus.cni.rawjson import Json

DEFAULT_PATH = "/etc/cni/net.d/multus.d/daemon-config.json"

#: `multusConfigFile` for a file that is generated; anything else is the path of one to be copied.
AUTO = "auto"

FOLLOW, REPORT = "follow", "report"

#: `slippedPods`: what is done about pods that run without their networks, beside `REPORT`.
EVICT = "evict"


class Settings(NamedTuple):
    """What is to be kept on the node. Paths are as this process sees them, times in seconds.

    `primary_grace`: how long a default network may be gone before another one is taken. `kubeconfig`: where the
    one-shot plugin's is to be written, "" for none; what is written of it into the configuration is in `wanted`."""

    wanted: generate.Wanted = generate.Wanted()
    rule: primary.Rule = primary.Rule()
    conf_dir: str = "/etc/cni/net.d"
    autoconf_dir: str = "/etc/cni/net.d"
    conf_file: str = AUTO
    policy: str = FOLLOW
    primary_grace: float = 60.0
    force_cni_version: bool = False
    rename_primary: bool = False
    readiness_file: str = ""
    socket_dir: str = "/run/multus"
    cni_dir: str = "/var/lib/cni/multus"
    kubeconfig: str = ""
    skip_tls_verify: bool = False
    slipped_pods: str = REPORT

    @property
    def state_dir(self) -> str:
        """The directory of ours beside the runtime's configuration; runtimes don't look into directories."""
        return os.path.join(self.conf_dir, figures.DIRECTORY)


class _Keys(NamedTuple):
    """The keys as they are in the file."""

    cni_version: str = ""
    capabilities: Json = {}  # noqa: RUF012 - never changed
    override_network_name: bool = False
    conf_dir: str = Settings().conf_dir
    autoconf_dir: str = ""
    conf_file: str = AUTO
    master: str = ""
    excluded: tuple[str, ...] = primary.EXCLUDED
    policy: str = FOLLOW
    primary_grace: float = Settings().primary_grace
    force_cni_version: bool = False
    readiness_file: str = ""
    socket_dir: str = Settings().socket_dir
    cni_dir: str = Settings().cni_dir
    slipped_pods: str = REPORT


_KEYS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "cniVersion": ("cni_version", decoding.string),
    "capabilities": ("capabilities", decoding.mapping),
    "overrideNetworkName": ("override_network_name", decoding.boolean),
    "cniConfigDir": ("conf_dir", decoding.path),
    "multusAutoconfigDir": ("autoconf_dir", decoding.path),
    "multusConfigFile": ("conf_file", decoding.path),
    "multusMasterCNI": ("master", decoding.string),
    "excludePrimary": ("excluded", decoding.strings),
    "primaryPolicy": ("policy", decoding.one_of(FOLLOW, REPORT)),
    "primaryGrace": ("primary_grace", decoding.duration),
    "forceCNIVersion": ("force_cni_version", decoding.boolean),
    "readinessindicatorfile": ("readiness_file", decoding.path),
    "socketDir": ("socket_dir", decoding.path),
    "cniDir": ("cni_dir", decoding.path),
    "slippedPods": ("slipped_pods", decoding.one_of(REPORT, EVICT)),
}

#: Every key the installer itself reads; those it passes on are `generate.THICK_ORDER`.
KEYS = tuple(_KEYS)


def load(path: str) -> Settings:
    """The settings in the file. Raises errors.IoFailure, errors.DecodeError, errors.InvalidConfig, naming it."""
    return loads(files.read(path), f"daemon configuration {path}")


def loads(data: bytes, what: str) -> Settings:
    """As `load`, of the file's content."""
    raw = rawjson.loads_object(data, what)
    said = _Keys(**decoding.fields(raw, _KEYS, what))
    if not all(isinstance(value, bool) for value in said.capabilities.values()):
        raise errors.InvalidConfig(f"{what}: capabilities must map names to true or false")
    wanted = generate.Wanted(
        cni_version=said.cni_version,
        override_network_name=said.override_network_name,
        capabilities=said.capabilities,
        keys=keys.known(raw, _PASSED_ON),
    )
    return Settings(
        wanted=wanted,
        rule=primary.Rule(wanted=said.master, excluded=said.excluded),
        conf_dir=said.conf_dir,
        autoconf_dir=said.autoconf_dir or said.conf_dir,
        conf_file=said.conf_file,
        policy=said.policy,
        primary_grace=said.primary_grace,
        force_cni_version=said.force_cni_version,
        readiness_file=said.readiness_file,
        socket_dir=said.socket_dir,
        cni_dir=said.cni_dir,
        slipped_pods=said.slipped_pods,
    )


#: Keys of the daemon's file that go into the generated one as they are.
_PASSED_ON = tuple(
    key
    for key in generate.THICK_ORDER
    if key not in ("capabilities", "cniVersion", "name", "clusterNetwork", "type", "overrideNetworkName")
)
