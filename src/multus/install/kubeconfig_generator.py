"""`kubeconfig_generator`, with upstream's flags: a certificate for this node and the one-shot plugin's kubeconfig for
it, kept until it is told to end. Unlike upstream's, it heeds `--kubeconfig`, and takes a CA that is a file."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from multus import errors, log
from multus.certificates import rotation
from multus.install import files, flags
from multus.networks import decoding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multus.certificates.rotation import Wanted
    from multus.install.flags import Value

DEFAULTS: dict[str, Value] = {
    "certdir": "/tmp",  # noqa: S108 - upstream's; the manifests name another
    "bootstrap-config": "/tmp/kubeconfig",  # noqa: S108
    "kubeconfig": "/run/multus/kubeconfig",
    "cert-duration": "10m",
}


def main() -> None:
    """The executable's entry. Exit status 1 for help, as upstream, and for failures."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    sys.exit(run(sys.argv[1:], os.environ, stopped))


def run(arguments: Sequence[str], environ: Mapping[str, str], stopped: threading.Event) -> int:
    """The command line; ends when `stopped`, or with exit status 1."""
    try:
        told = wanted(flags.parse(arguments, DEFAULTS), environ)
        log.configure("verbose", [log.to_stderr])
        keeper = rotation.Rotation(told, environ)
        keeper.ensure(stopped)
        keeper.keep(stopped)
        files.remove(told.kubeconfig)
    except flags.HelpWanted:
        os.write(2, flags.usage("kubeconfig_generator", DEFAULTS).encode())
        return 1
    except errors.CniError as error:
        if stopped.is_set():
            return 0
        os.write(2, f"kubeconfig_generator: {error}\n".encode("utf-8", "backslashreplace"))
        return 1
    return 0


def wanted(given: Mapping[str, Value], environ: Mapping[str, str]) -> Wanted:
    """What the flags ask for. Raises errors.InvalidConfig."""
    bootstrap, directory = flags.text(given, "bootstrap-config"), flags.text(given, "certdir")
    if not os.path.isfile(bootstrap):
        raise errors.InvalidConfig(f"bootstrap-config is not found: {bootstrap}")
    if not os.path.isdir(directory):
        raise errors.InvalidConfig(f"certdir is not found: {directory}")
    return rotation.wanted(
        environ.get("MULTUS_NODE_NAME", ""),
        bootstrap,
        directory,
        flags.text(given, "kubeconfig"),
        decoding.certificate_life("cert-duration", flags.text(given, "cert-duration")),
    )


if __name__ == "__main__":
    main()
