"""STATUS: the default network answers for the node, in its own words."""

from __future__ import annotations

import pytest

from multus import errors
from multus.testing import executor
from unit.engine import world
from unit.engine.world import Node


@pytest.mark.parametrize("code", [50, 51, 11, 123])
def test_codes_are_kept(code: int) -> None:
    """Code, message and details are the plugin's."""
    one = Node()
    one.plugins.answer("bridge", "STATUS", executor.failed(code, "not ready", "no route"))
    error = one.fails("STATUS")
    assert error.code == code
    assert "not ready" in error.message
    assert error.details == "no route"


def test_ready() -> None:
    """Only the default network is asked, with set but empty variables."""
    one = Node(delegates=[world.network("cluster"), world.network("other", world.plugin("ptp"))])
    one.run("STATUS")
    (call,) = one.plugins.calls
    assert call.plugin == "bridge"
    assert {call.environ[key] for key in ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS")} == {""}


def test_every_plugin_of_the_list() -> None:
    """The first failure ends it."""
    one = Node(default=world.network("cluster", world.plugin("a"), world.plugin("b"), world.plugin("c")))
    one.plugins.answer("b", "STATUS", executor.failed(51, "limited"))
    assert one.fails("STATUS").code == 51
    assert [call.plugin for call in one.plugins.calls] == ["a", "b"]


def test_older_version() -> None:
    """Below CNI 1.1.0 there is no STATUS: success without a call."""
    one = Node(default=world.network("cluster", version="1.0.0"))
    one.run("STATUS")
    assert not one.plugins.calls


def test_readiness_indicator_file() -> None:
    """While it is absent: code 50, at once."""
    one = Node(readinessindicatorfile="/run/ready")
    one.plugins.missing.add("/run/ready")
    error = one.fails("STATUS")
    assert error.code == 50
    assert "/run/ready" in error.message
    assert one.clock.sleeps == []
    assert not one.plugins.calls
    one.plugins.missing.clear()
    one.run("STATUS")


@pytest.mark.parametrize("cause", ["missing", "api"])
def test_default_network_not_found(cause: str) -> None:
    """ADD could not be served: code 50; a name that is neither definition nor file is no crash (upstream's is)."""
    one = Node(clusterNetwork="cluster")
    if cause == "api":
        one.cluster.fail("network", errors.ClusterError("connection refused"))
    error = one.fails("STATUS")
    assert error.code == 50
    assert "cluster" in error.message
    assert ("connection refused" in error.message) == (cause == "api")


def test_plain_name_found_as_a_file() -> None:
    """The very case that crashes upstream."""
    one = Node(clusterNetwork="cluster")
    one.conf_files.add('{"cniVersion": "1.1.0", "name": "cluster", "type": "bridge"}')
    one.run("STATUS")
    assert [call.plugin for call in one.plugins.calls] == ["bridge"]
