"""Cached results in memory: `multus.ports.Results` for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors
from multus.cni import results
from multus.testing.failing import Failing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.ports import CachedResult, Opening

    Key = tuple[str, str, str]


class FakeResults(Failing):
    """`kept` has them by (network, container id, interface), in the order they were written; those whose key is in
    `damaged` can't be read."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[Key, CachedResult] = {}
        self.damaged: set[Key] = set()

    def load(self, network: str, container_id: str, ifname: str) -> CachedResult | None:
        """As `ports.Results.load`."""
        key = (network, container_id, ifname)
        self._called("load", *key)
        return None if key in self.damaged else self.kept.get(key)

    def of(self, container_id: str) -> Sequence[CachedResult]:
        """As `ports.Results.of`."""
        self._called("of", container_id)
        return [cached for cached in self._readable() if cached.container_id == container_id]

    def save(self, cached: CachedResult) -> None:
        """As `ports.Results.save`."""
        key = (cached.network, cached.container_id, cached.ifname)
        self._called("save", *key)
        self.kept.pop(key, None)
        self.kept[key] = cached
        self.damaged.discard(key)

    def opening(self, cached: CachedResult) -> Opening:
        """As `ports.Results.opening`."""
        return cached.ifname, cached.network.encode()

    def keep(self, cached: CachedResult, opening: Opening, printed: bytes) -> None:
        """As `ports.Results.keep`."""
        assert opening == self.opening(cached)
        self.save(cached)
        try:
            result = results.parse(printed, cached.config.cni_version if cached.config is not None else "", "printed")
        except errors.CniError:
            self.damaged.add((cached.network, cached.container_id, cached.ifname))
        else:
            self.save(cached._replace(result=result))

    def remove(self, network: str, container_id: str, ifname: str) -> None:
        """As `ports.Results.remove`."""
        key = (network, container_id, ifname)
        self._called("remove", *key)
        self.kept.pop(key, None)
        self.damaged.discard(key)

    def all(self) -> Sequence[CachedResult]:
        """As `ports.Results.all`."""
        self._called("all")
        return self._readable()

    def _readable(self) -> list[CachedResult]:
        return [cached for key, cached in self.kept.items() if key not in self.damaged]
