"""`thin_entrypoint`, with upstream's flags and one of ours (`--slipped-pods`): installs the one-shot plugin and keeps
its configuration and kubeconfig.

Three things differ. It waits for a default network instead of ending without one. It always watches. And it takes the
configuration away only when Multus is being uninstalled, `--cleanup-config-on-exit` or not.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from multus import errors, log
from multus.install import binaries, flags, generate, kubeconfig, primary, running, settings, uninstall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multus.install.flags import Value
    from multus.install.settings import Settings

DEFAULTS: dict[str, Value] = {
    "cni-bin-dir": "/host/opt/cni/bin",
    "cni-conf-dir": "/host/etc/cni/net.d",
    "cni-version": "",
    "multus-conf-file": settings.AUTO,
    "multus-bin-file": f"{binaries.SOURCE}/multus",
    "multus-cni-conf-dir": "/host/etc/cni/multus/net.d",
    "skip-multus-binary-copy": False,
    "multus-kubeconfig-file-host": kubeconfig.ON_HOST,
    "multus-master-cni-file-name": "",
    "namespace-isolation": False,
    "global-namespaces": "",
    "multus-autoconfig-dir": "/host/etc/cni/net.d",
    "multus-log-to-stderr": True,
    "multus-log-level": "",
    "multus-log-file": "",
    "override-network-name": False,
    "cleanup-config-on-exit": False,
    "skip-config-watch": False,
    "rename-conf-file": False,
    "readiness-indicator-file": "",
    "additional-bin-dir": "",
    "skip-tls-verify": False,
    "force-cni-version": False,
    "slipped-pods": settings.REPORT,
}

#: Accepted and without effect; why is told.
OBSOLETE = {
    "cleanup-config-on-exit": "the configuration stays until Multus is uninstalled: no pod may start without it",
    "skip-config-watch": "the default network is always watched",
    "force-cni-version": "a version above the default network's is lowered to it",
}

#: Of `--multus-log-level`; upstream's words.
LEVELS = ("debug", "verbose", "error", "panic")


def main() -> None:
    """The executable's entry. Exit status 1 for help, as upstream, and for failures."""
    sys.exit(run(sys.argv[1:], os.environ))


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command line; ends when it is told to, or with exit status 1."""
    try:
        given = flags.parse(arguments, DEFAULTS)
        log.configure("verbose", [log.to_stderr])
        told = wanted(given)
        check_locations(given)
        for name, why in OBSOLETE.items():
            if given[name]:
                log.warning(f"--{name} has no effect: {why}")
        if not given["skip-multus-binary-copy"]:
            install_binary(given)
        uninstall.revoke(told)
        running.Running(told, environ).run()
    except flags.HelpWanted:
        os.write(2, flags.usage("thin_entrypoint", DEFAULTS).encode())
        return 1
    except errors.CniError as error:
        os.write(2, f"thin_entrypoint: {error}\n".encode("utf-8", "backslashreplace"))
        return 1
    return 0


def wanted(given: Mapping[str, Value]) -> Settings:
    """What the flags ask for. Raises errors.InvalidConfig."""
    conf_dir = flags.text(given, "cni-conf-dir")
    own = binaries.same_as(flags.text(given, "cni-bin-dir"), (flags.text(given, "multus-bin-file"),))
    return settings.Settings(
        wanted=generate.Wanted(
            thick=False,
            cni_version=flags.text(given, "cni-version"),
            override_network_name=bool(given["override-network-name"]),
            keys=_keys(given),
        ),
        rule=primary.Rule(wanted=flags.text(given, "multus-master-cni-file-name"), own_types=own),
        conf_dir=conf_dir,
        autoconf_dir=flags.text(given, "multus-autoconfig-dir"),
        conf_file=flags.text(given, "multus-conf-file"),
        rename_primary=bool(given["rename-conf-file"]),
        readiness_file=flags.text(given, "readiness-indicator-file"),
        kubeconfig=os.path.join(conf_dir, "multus.d", kubeconfig.NAME),
        skip_tls_verify=bool(given["skip-tls-verify"]),
        slipped_pods=_policy(flags.text(given, "slipped-pods")),
    )


def _policy(word: str) -> str:
    if word not in (settings.REPORT, settings.EVICT):
        raise errors.InvalidConfig(f"--slipped-pods must be {settings.REPORT} or {settings.EVICT}, not {word[:80]!r}")
    return word


def _keys(given: Mapping[str, Value]) -> dict[str, object]:
    level = flags.text(given, "multus-log-level").lower()
    if level and level not in LEVELS:
        words = "/".join(LEVELS)
        raise errors.InvalidConfig(f'Log levels should be one of: {words}, did not understand: "{level[:80]}"')
    # The plugin runs on the host, where the directory has no such prefix.
    nets = flags.text(given, "multus-cni-conf-dir").removeprefix("/host")
    return {
        "kubeconfig": given["multus-kubeconfig-file-host"],
        "namespaceIsolation": given["namespace-isolation"],
        "globalNamespaces": given["global-namespaces"],
        "logToStderr": given["multus-log-to-stderr"],
        "logLevel": level,
        "logFile": given["multus-log-file"],
        "binDir": given["additional-bin-dir"],
        "confDir": nets if nets != "/etc/cni/multus/net.d" else "",
        "readinessindicatorfile": given["readiness-indicator-file"],
    }


def check_locations(given: Mapping[str, Value]) -> None:
    """In upstream's order. Raises errors.InvalidConfig naming the flag."""
    names = ["cni-conf-dir", "cni-bin-dir"]
    if not given["skip-multus-binary-copy"]:
        names.append("multus-bin-file")
    if given["multus-conf-file"] != settings.AUTO:
        names.append("multus-conf-file")
    for name in names:
        path = flags.text(given, name)
        if not os.path.exists(path):
            raise errors.InvalidConfig(f"{name} is not found: {path}")


def install_binary(given: Mapping[str, Value]) -> None:
    """The plugin, under the name that configurations call it by. Raises errors.IoFailure."""
    target = os.path.join(flags.text(given, "cni-bin-dir"), "multus")
    binaries.install(flags.text(given, "multus-bin-file"), target)
