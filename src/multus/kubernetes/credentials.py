"""Who we are to the API server: fixed, or a token file that something else renews."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from multus import errors

if TYPE_CHECKING:
    from multus.kubernetes.access import Identity

#: Service account tokens are about 1 KiB.
TOKEN_LIMIT = 1 << 20


def with_token(identity: Identity, token: str) -> Identity:
    """The identity with a bearer token in place of any other Authorization."""
    kept = tuple(pair for pair in identity.headers if pair[0] != "Authorization")
    return identity._replace(headers=(*kept, ("Authorization", f"Bearer {token}")))


class Fixed:
    """What the kubeconfig says, as it was read."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def identity(self, deadline: float) -> Identity:
        """As `access.Credentials.identity`."""
        return self._identity


class TokenFile:
    """A token in a file, read again whenever the file has changed (a projected token is replaced each hour)."""

    def __init__(self, path: str, base: Identity, fallback: str = "") -> None:
        self._path = path
        self._base = base
        self._fallback = fallback
        self._stamp: tuple[int, int, int] | None = None
        self._identity = base

    def identity(self, deadline: float) -> Identity:
        """As `access.Credentials.identity`. Raises errors.IoFailure when the file can't be read and the kubeconfig
        has no token beside it."""
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp != self._stamp:
                self._identity = with_token(self._base, self._read())
                self._stamp = stamp
        except OSError as error:
            if not self._fallback:
                raise errors.IoFailure(f"token file {self._path}: {error.strerror}") from error
            return with_token(self._base, self._fallback)
        return self._identity

    def _read(self) -> str:
        with open(self._path, "rb") as file:
            token = file.read(TOKEN_LIMIT).strip()
        if not token:
            raise errors.IoFailure(f"token file {self._path} is empty")
        return token.decode("ascii", "replace")
