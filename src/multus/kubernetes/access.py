"""How the API server is reached and as whom: the values that kubeconfig and in-cluster settings come down to."""

from __future__ import annotations

from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, str], ...]


class Pem(NamedTuple):
    """A certificate, key or CA bundle: its bytes, or the file that is read anew for each connection."""

    data: bytes = b""
    file: str = ""

    @property
    def given(self) -> bool:
        """Whether there is one at all."""
        return bool(self.data or self.file)


class Endpoint(NamedTuple):
    """The API server. `host` has no brackets; `prefix` is the path of the server URL without a slash at its end;
    `origin` is where the settings are from, for messages."""

    host: str
    port: int
    origin: str
    tls: bool = True
    prefix: str = ""
    server_name: str = ""
    ca: Pem = Pem()
    insecure: bool = False
    proxy: str = ""

    @property
    def authority(self) -> str:
        """``host:port`` as URLs and the Host header have it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The server URL without a path, for messages and proxies."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"


class Identity(NamedTuple):
    """As whom a request is made: header lines, and the client certificate of the connection."""

    headers: Headers = ()
    certificate: Pem = Pem()
    key: Pem = Pem()


class Credentials(Protocol):
    """Something that knows who we are at this moment."""

    def identity(self, deadline: float) -> Identity:
        """The identity for the next request. Raises errors.CniError when it can't be had before `deadline`."""
        ...


class Access(NamedTuple):
    """Where to, and as whom."""

    endpoint: Endpoint
    credentials: Credentials
