"""The fakes that the other tests rely on: each is its port, and keeps its promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.cni.arguments import PodArgs
from multus.testing.clock import FakeClock
from multus.testing.conffiles import FakeConfFiles
from multus.testing.namespaces import FakeNamespace
from multus.testing.netlink import FakeNetlink
from multus.testing.records import FakeRecords
from unit.engine.world import CONTAINER, Node

if TYPE_CHECKING:
    from multus import ports
    from multus.networks.record import Record
    from multus.testing.cluster import FakeCluster
    from multus.testing.devices import FakeDevices
    from multus.testing.executor import FakeExecutor
    from multus.testing.netlink import FakeSandboxNet
    from multus.testing.results import FakeResults

    def _executor(fake: FakeExecutor, cluster: FakeCluster) -> tuple[ports.Executor, ports.Cluster]:
        """For the type checker."""
        return fake, cluster

    def _files(one: FakeRecords, two: FakeResults, three: FakeConfFiles) -> tuple[object, ...]:
        """For the type checker."""
        records: ports.Records = one
        results: ports.Results = two
        conf_files: ports.ConfFiles = three
        return records, results, conf_files

    def _machine(one: FakeNetlink, two: FakeSandboxNet, three: FakeClock, four: FakeDevices) -> tuple[object, ...]:
        """For the type checker."""
        netlink: ports.Netlink = one
        net: ports.SandboxNet = two
        clock: ports.Clock = three
        devices: ports.Devices = four
        return netlink, net, clock, devices


def recorded(count: int = 1) -> tuple[FakeRecords, Record]:
    """Records with that of a pod of `count` networks."""
    one = Node()
    one.wants(count)
    one.add()
    record = one.record()
    assert record is not None
    return one.records, record


def test_records() -> None:
    """What is saved is read again; only what was synced is durable; what is removed is gone."""
    records, record = recorded()
    assert records.load(CONTAINER, "eth0") == record
    records.save("other", record)
    assert set(records.durable) == {CONTAINER}
    assert records.containers() == ["other", CONTAINER]
    records.remove("other")
    records.remove("other")
    assert records.load("other", "eth0") is None


def test_damaged_record() -> None:
    """It is set aside at once."""
    records, _ = recorded()
    records.files[CONTAINER] = b"[]"
    with pytest.raises(errors.DamagedRecord):
        records.load(CONTAINER, "eth0")
    assert records.load(CONTAINER, "eth0") is None
    assert records.damaged == {CONTAINER: b"[]"}


def test_superseded() -> None:
    """By a DEL, or by a newer sandbox of the same pod; not by an older one, nor by another pod's."""
    records, record = recorded()
    pod = record.pod
    assert not records.superseded(CONTAINER, pod)
    records.save("elsewhere", record._replace(pod=PodArgs("default", "other")))
    assert not records.superseded(CONTAINER, pod)
    records.save("newer", record)
    assert records.superseded(CONTAINER, pod)
    assert not records.superseded("newer", pod)
    records.remove("newer")
    assert records.superseded("newer", pod)
    assert not records.superseded(CONTAINER, pod)


def test_locks() -> None:
    """One call per sandbox; GC beside nothing."""
    records = FakeRecords()
    with records.lock("a", 0.0), records.lock("b", 0.0):
        for blocked in (records.lock("a", 0.0), records.exclusive(0.0)):
            with pytest.raises(errors.TryAgainLater), blocked:
                pass
    with records.exclusive(0.0), pytest.raises(errors.TryAgainLater), records.lock("a", 0.0):
        pass
    with records.lock("a", 0.0):
        pass


def test_kernel() -> None:
    """Routes as a kernel keeps them: metric 1024 for IPv6, one per metric, gone with their link."""
    namespace = FakeNamespace()
    link = namespace.add_link("eth0")
    namespace.add_default("4", "10.1.0.1", link.number)
    namespace.add_default("6", "fd00::1", link.number)
    assert [(route.family, route.metric) for route in namespace.defaults()] == [("4", 0), ("6", 1024)]
    for family, gateway, oif in (("4", "10.1.0.2", link.number), ("6", "fd00::2", link.number), ("4", "10.1.0.1", 9)):
        with pytest.raises(errors.IoFailure):
            namespace.add_default(family, gateway, oif)
    with pytest.raises(errors.IoFailure):
        namespace.add_link("eth0")
    namespace.remove_link("eth0")
    assert namespace.defaults() == []


def test_netlink() -> None:
    """A socket replaces the default of metric 0, and is of no use once closed."""
    netlink = FakeNetlink()
    namespace = netlink.namespaces["/run/netns/a"] = FakeNamespace()
    link = namespace.add_link("eth0")
    namespace.add_default("4", "10.1.0.1", link.number, metric=100)
    net = netlink.open("/run/netns/a")
    net.add_default("4", "10.1.0.2", link.number)
    net.add_default("4", "10.1.0.3", link.number)
    assert [(route.gateway, route.metric) for route in net.default_routes()] == [("10.1.0.1", 100), ("10.1.0.3", 0)]
    net.delete_route(net.default_routes()[0])
    assert len(namespace.defaults()) == 1
    assert netlink.open_sockets == 1
    net.close()
    net.close()
    assert netlink.open_sockets == 0
    with pytest.raises(errors.IoFailure):
        net.links()
    with pytest.raises(errors.IoFailure):
        netlink.open("/run/netns/b")
    netlink.host.add("/run/netns/a")
    with pytest.raises(errors.SameNamespace):
        netlink.open("/run/netns/a")


def test_clock() -> None:
    """Time passes by sleeping; what is due happens."""
    clock = FakeClock(10.0)
    seen: list[float] = []
    clock.at(12.0, lambda: seen.append(clock.monotonic()))
    clock.sleep(1.0)
    assert seen == []
    clock.sleep(1.0)
    assert seen == [12.0]
    assert clock.sleeps == [1.0, 1.0]


def test_failures() -> None:
    """As many as were asked for, and nothing happens in them."""
    records, record = recorded()
    records.fail("save", errors.IoFailure("disk full"), times=2)
    for _ in range(2):
        with pytest.raises(errors.IoFailure, match="disk full"):
            records.save("other", record)
    assert "other" not in records.files
    records.save("other", record)
    assert records.calls[-1] == ("save", "other")


def test_conf_files() -> None:
    """By name, by path, by chain."""
    files = FakeConfFiles()
    named = files.add('{"name": "a", "type": "bridge"}')
    placed = files.add('{"name": "b", "type": "bridge"}', "/etc/cni/b.conf")
    assert files.by_name("a") is named
    assert files.by_name("b") is None
    assert files.by_path("/etc/cni/b.conf") is placed
    with pytest.raises(errors.IoFailure):
        files.by_path("/etc/cni/c.conf")
    assert files.chain("a", "/etc/cni/b.conf", "1.0.0") is None
