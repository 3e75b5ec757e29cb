"""Configuration files in memory: `multus.ports.ConfFiles` for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.cni import config
from multus.testing.failing import Failing

if TYPE_CHECKING:
    from multus.cni.config import NetworkConfig


class FakeConfFiles(Failing):
    """`named` are the configurations of confDir by name, `paths` files and directories by path, `chains` the
    auxiliary chains by name."""

    def __init__(self) -> None:
        super().__init__()
        self.named: dict[str, NetworkConfig] = {}
        self.paths: dict[str, NetworkConfig] = {}
        self.chains: dict[str, NetworkConfig] = {}

    def add(self, text: str, path: str = "") -> NetworkConfig:
        """A configuration: in confDir under its own name, or at `path`."""
        found = config.loads(text, path or "confDir")
        if path:
            self.paths[path] = found
        else:
            self.named[found.name] = found
        return found

    def by_name(self, name: str) -> NetworkConfig | None:
        """As `ports.ConfFiles.by_name`."""
        self._called("by_name", name)
        return self.named.get(name)

    def by_path(self, path: str) -> NetworkConfig:
        """As `ports.ConfFiles.by_path`."""
        self._called("by_path", path)
        if path not in self.paths:
            raise errors.IoFailure(f"{path}: No such file or directory")
        return self.paths[path]

    def chain(self, name: str, beside: str, cni_version: str) -> NetworkConfig | None:
        """As `ports.ConfFiles.chain`."""
        self._called("chain", name, beside)
        return self.chains.get(name)
