"""A node's key and certificate on disk, as upstream (client-go) has them.

    <certDir>/multus-client-2026-11-24-10-20-30.pem    key and certificate in one file, 0600
    <certDir>/multus-client-current.pem                a symbolic link to the one in use

The link is replaced by rename: whoever opens it finds a whole pair, the old or the new one.
"""

from __future__ import annotations

import os
import time

from multus import errors

NAME = "multus-client"
CURRENT = f"{NAME}-current.pem"

#: How many pairs stay, the one in use included: a connection may be opening the one before.
KEPT = 2

LIMIT = 1 << 20


class Store:
    """The pairs in `directory`. One process writes."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        #: What clients name as certificate and as key.
        self.current = os.path.join(directory, CURRENT)

    def read(self) -> bytes | None:
        """The pair in use, None where there is none. Raises errors.IoFailure."""
        try:
            with open(self.current, "rb") as file:
                return file.read(LIMIT)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise errors.IoFailure(f"can't read {self.current}: {error.strerror}") from error

    def put(self, pair: bytes, when: float) -> None:
        """Keep another pair and use it; only the one before stays. Raises errors.IoFailure; then the old one is in
        use."""
        name = f"{NAME}-{time.strftime('%Y-%m-%d-%H-%M-%S', time.gmtime(when))}.pem"
        try:
            os.makedirs(self._directory, 0o700, exist_ok=True)
            self._write(name, pair)
            self._link(name)
            self._sweep(name)
        except OSError as error:
            raise errors.IoFailure(f"can't keep the certificate in {self._directory}: {error.strerror}") from error

    def _write(self, name: str, pair: bytes) -> None:
        temporary = self._path(f".{name}.{os.getpid()}")
        _unlink(temporary)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(pair)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self._path(name))
        finally:
            _unlink(temporary)

    def _link(self, name: str) -> None:
        """A relative link: containers see the directory elsewhere than the host does."""
        temporary = self._path(f".{CURRENT}.{os.getpid()}")
        _unlink(temporary)
        try:
            os.symlink(name, temporary)
            os.rename(temporary, self.current)
        finally:
            _unlink(temporary)

    def _sweep(self, used: str) -> None:
        """What no client reads any more; the key of an old certificate is still a key."""
        found = (entry for entry in os.listdir(self._directory) if entry.startswith(f"{NAME}-2"))
        others = sorted(entry for entry in found if entry.endswith(".pem") and entry != used)
        for name in others[: len(others) - (KEPT - 1)]:
            _unlink(self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
