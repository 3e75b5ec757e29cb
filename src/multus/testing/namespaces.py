"""One network namespace in memory, as its kernel would keep it."""

from __future__ import annotations

from multus import errors
from multus.networks.routes import KernelRoute, Link

#: The kernel's numbers: RTPROT_BOOT, RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_TABLE_MAIN.
BOOT, UNIVERSE, LINK, MAIN = 3, 0, 253, 254


#: IP6_RT_PRIO_USER: what the kernel makes of metric 0 for IPv6.
USER_METRIC = 1024


def kernel_metric(family: str, metric: int) -> int:
    """The metric that the kernel keeps for a route asked for with `metric`."""
    return USER_METRIC if family == "6" and metric == 0 else metric


class FakeNamespace:
    """One network namespace: its interfaces (`lo` to begin with) and the routes of all tables."""

    def __init__(self) -> None:
        self.links = [Link(1, "lo", "00:00:00:00:00:00", 65536)]
        self.routes: list[KernelRoute] = []
        self._made = 1

    def add_link(self, name: str, mac: str = "02:00:00:00:00:01", mtu: int = 1500) -> Link:
        """Make an interface; errors.IoFailure when the name is taken."""
        if any(link.name == name for link in self.links):
            raise errors.IoFailure(f"link {name}: File exists")
        self._made += 1
        made = Link(self._made, name, mac, mtu)
        self.links.append(made)
        return made

    def remove_link(self, name: str) -> None:
        """Remove an interface, and with it the routes through it; no error when it is gone already."""
        gone = {link.number for link in self.links if link.name == name}
        self.links = [link for link in self.links if link.number not in gone]
        self.routes = [route for route in self.routes if route.oif not in gone]

    def add_default(self, family: str, gateway: str, oif: int, metric: int = 0) -> None:
        """As a plugin does (RTM_NEWROUTE with NLM_F_EXCL): one of that family and metric must not exist."""
        metric = kernel_metric(family, metric)
        if any((route.family, route.metric) == (family, metric) for route in self.defaults()):
            raise errors.IoFailure(f"default route via {gateway}: File exists")
        if all(link.number != oif for link in self.links):
            raise errors.IoFailure(f"default route via {gateway}: No such device")
        scope = UNIVERSE if gateway or family == "6" else LINK
        self.routes.append(KernelRoute(family, "", gateway, oif, metric, BOOT, scope, MAIN))

    def defaults(self) -> list[KernelRoute]:
        """The default routes of the main table."""
        return [route for route in self.routes if not route.dst and route.table == MAIN]
