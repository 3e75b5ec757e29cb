"""What the HTTP API needs of the daemon (`httpapi.Services`), and who carries out the DELs that are owed."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from multus.daemon import hands as hands_of
from multus.daemon import settings
from multus.daemon.node import NodeHost

if TYPE_CHECKING:
    from multus import serving
    from multus.cni.rawjson import Json
    from multus.daemon.calls import Calls
    from multus.daemon.hands import Hands
    from multus.daemon.node import Node
    from multus.daemon.owed import Owed

#: A runtime's call lends its hands for what is owed; it begins no more of that after this time, in seconds.
LENT = 1.0

#: Our own executables in binDir, whatever upstream and we call them.
_OWN = ("multus", "multus-shim")


class NodeServices:
    """Requests are served on `node` with the hands of an agent that `calls` has, else with the daemon's own where it is
    told to run delegates itself."""

    def __init__(self, node: Node, calls: Calls) -> None:
        self._node = node
        self._calls = calls
        told = node.settings
        own = [os.path.join(told.bin_dir, name) for name in _OWN] + [os.path.abspath(sys.argv[0])]
        self._local = hands_of.LocalHands([told.bin_dir], own) if told.run_delegates else None

    @property
    def ready(self) -> bool:
        """As `httpapi.Services.ready`."""
        return self._node.ready.is_set()

    @property
    def path(self) -> str:
        """As `httpapi.Services.path`."""
        return self._node.settings.bin_dir

    def hands(self) -> Hands | None:
        """As `httpapi.Services.hands`."""
        return self._calls.agent or self._local

    def configuration(self, raw: Json) -> Json:
        """As `httpapi.Services.configuration`."""
        return settings.laid_over(raw, self._node.settings)

    def host(self, hands: Hands, started: float) -> serving.Host:
        """As `httpapi.Services.host`."""
        return NodeHost(self._node, hands, started)


class Debts:
    """Has what is `owed` carried out by whoever comes with hands, until the daemon ends."""

    def __init__(self, owed: Owed, node: Node) -> None:
        self._owed = owed
        self._node = node

    def by_agent(self, hands: Hands) -> None:
        """An agent has nothing else to do."""
        if self._node.ready.is_set():
            self._owed.carry_out(hands)

    def by_call(self, hands: Hands) -> None:
        """A call's hands, once its own work is done: its runtime waits."""
        if self._node.ready.is_set():
            self._owed.carry_out(hands, until=time.monotonic() + LENT)
