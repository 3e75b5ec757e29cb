"""Network namespaces as paths."""

from __future__ import annotations

import os

from multus import errors

#: The namespace this process lives in: the host's.
OWN = "/proc/self/ns/net"


def same_namespace(path: str) -> bool:
    """Whether `path` is the network namespace of this process. Raises errors.IoFailure (nothing there, or it is no
    namespace)."""
    own = os.stat(OWN)
    try:
        other = os.stat(path)
    except (OSError, ValueError) as error:
        raise errors.IoFailure(f"no net namespace {path} found: {getattr(error, 'strerror', None) or error}") from error
    if other.st_dev != own.st_dev:
        raise errors.IoFailure(f"{path} is not a network namespace")
    return other.st_ino == own.st_ino


def enter(descriptor: int) -> None:
    """Move the calling thread, and it alone, into the network namespace of `descriptor`. Raises OSError."""
    if hasattr(os, "setns"):
        os.setns(descriptor, getattr(os, "CLONE_NEWNET", 0x40000000))
        return
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
