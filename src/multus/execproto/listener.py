"""`<socketDir>/exec.sock`: root's alone, replaced without a moment in which it is missing."""

from __future__ import annotations

import os
import socket

from multus import errors

NAME = "exec.sock"

#: What waits in the backlog waits for the daemon's successor too, should it end; the kernel cuts it to somaxconn.
BACKLOG = 4096


def listen(socket_dir: str, name: str = NAME) -> socket.socket:
    """A socket listening as `name`. The directory is made (0700); a predecessor's socket is replaced by a rename, so
    that its established connections live on. Raises errors.IoFailure."""
    path = os.path.join(socket_dir, name)
    temporary = f"{path}.{os.getpid()}"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        os.makedirs(socket_dir, 0o700, exist_ok=True)
        if os.path.lexists(temporary):
            os.unlink(temporary)
        sock.bind(temporary)
        os.chmod(temporary, 0o600)
        sock.listen(BACKLOG)
        os.rename(temporary, path)
    except OSError as error:
        sock.close()
        raise errors.IoFailure(f"can't listen on {path}: {error.strerror or error}") from error
    return sock
