"""`cert-approver`, as upstream without flags: approves the certificate requests of nodes (docs/install.md)."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from multus import errors, log
from multus.certificates import approver, pem
from multus.kubernetes import connect

if TYPE_CHECKING:
    from collections.abc import Mapping


def main() -> None:
    """The executable's entry. Exit status 1 for failures."""
    if len(sys.argv) > 1:
        os.write(2, b"usage: cert-approver\n")
        sys.exit(1)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    sys.exit(run(os.environ, stopped))


def run(environ: Mapping[str, str], stopped: threading.Event) -> int:
    """Approve until `stopped`; the exit status."""
    log.configure("verbose", [log.to_stderr])
    try:
        pem.check_library()
        client = connect.client("", environ)
        if client is None:
            raise errors.InvalidConfig("no service account: cert-approver runs in a pod")
        log.verbose("approving certificate requests of nodes")
        approver.Approver(client, connect.stream(client, approver.SOURCE, environ)).run(stopped)
        client.close()
    except errors.CniError as error:
        os.write(2, f"cert-approver: {error}\n".encode("utf-8", "backslashreplace"))
        return 1
    return 0


if __name__ == "__main__":
    main()
