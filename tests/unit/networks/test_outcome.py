"""What ADD answers."""

from __future__ import annotations

from typing import Any

import pytest

from multus.cni import results, versions
from multus.networks import outcome
from unit.networks import making

PRINTED: dict[str, Any] = {
    "interfaces": [{"name": "eth0", "mtu": 1500, "sandbox": "/s"}],
    "ips": [{"address": "10.1.1.1/24"}],
}


@pytest.mark.parametrize("version", versions.SUPPORTED)
def test_version(version: str) -> None:
    """The one of Multus' own configuration."""
    answer = outcome.answer(making.result(**PRINTED), version)
    assert answer.cni_version == version
    assert answer.raw["cniVersion"] == version
    assert results.parse(answer.raw, version, "answer").ips[0].address == "10.1.1.1/24"


def test_no_version() -> None:
    """The delegate's result as it is."""
    result = making.result("0.4.0", ips=[{"version": "4", "address": "10.1.1.1/24"}])
    assert outcome.answer(result, "") is result


@pytest.mark.parametrize("version", ["", *versions.SUPPORTED])
def test_pod_gone(version: str) -> None:
    """A result that is valid in every version; without one, in the first."""
    answer = outcome.pod_gone(version, "eth0", "/run/netns/a")
    known = version or "0.1.0"
    assert answer.raw["cniVersion"] == known
    again = results.parse(answer.raw, known, "answer")
    assert [ip.address for ip in again.ips] == ["0.0.0.0/0"]
    if versions.at_least(known, "0.3.0"):
        assert [(one.name, one.sandbox) for one in again.interfaces] == [("eth0", "/run/netns/a")]
        assert ("version" in answer.raw["ips"][0]) == (not versions.at_least(known, "1.0.0"))
    else:
        assert answer.raw["ip4"]["ip"] == "0.0.0.0/0"
