"""`perNodeCertificate`: the daemon speaks to the API server with a certificate of its node's own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multus.daemon.settings import Settings


def kubeconfig(told: Settings, environ: Mapping[str, str]) -> str:
    """The kubeconfig to read: that of the node's certificate, which is there then and is renewed while the process
    runs, else the one that is configured. Raises errors.CniError when there is no certificate within two minutes."""
    wanted = told.node_certificate
    if not wanted.enabled:
        return told.kubeconfig
    from multus.certificates import rotation

    place = rotation.wanted(told.node_name, wanted.bootstrap, wanted.directory, "", wanted.duration)
    keeper = rotation.Rotation(place, environ)
    # Nothing needs an orderly end: it ends with the process.
    never = threading.Event()
    keeper.ensure(never)
    keeper.start(never)
    return place.kubeconfig
