"""`multus-probe PATH`: whether the daemon of this node answers `PATH` on its socket; for a kubelet's probes.

The kubelet can't ask a Unix socket, and a daemon that listens on no port needs none to be probed. It imports next to
nothing: it is started a few times a minute.
"""

from __future__ import annotations

import os
import socket
import sys

#: Where the daemon's container has it (`socketDir`).
SOCKET = "/run/multus/multus.sock"

#: The kubelet's patience, in seconds, is the probe's `timeoutSeconds`; ours ends first.
TIMEOUT = 4.0


def main() -> None:
    """`multus-probe PATH [SOCKET]`; exit status 0 for an answer of 200."""
    if not 2 <= len(sys.argv) <= 3:
        os.write(2, b"usage: multus-probe PATH [SOCKET]\n")
        sys.exit(2)
    said = ask(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else SOCKET)
    if said:
        os.write(2, f"multus-probe: {said}\n".encode("utf-8", "backslashreplace"))
    sys.exit(bool(said))


def ask(path: str, address: str) -> str:
    """What is wrong; "" for nothing."""
    request = f"GET {path} HTTP/1.1\r\nHost: dummy\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(address)
            connection.sendall(request)
            with connection.makefile("rb") as answer:
                line = answer.readline(256).decode("latin-1").split()
    except OSError as error:
        return f"{address}: {error.strerror or error}"
    return "" if len(line) > 1 and line[1] == "200" else f"{path} answered {' '.join(line) or 'nothing'}"
