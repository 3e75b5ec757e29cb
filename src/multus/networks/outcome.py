"""What ADD answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus.cni import results, versions

if TYPE_CHECKING:
    from multus.cni.results import Result


def answer(result: Result, version: str) -> Result:
    """The default network's result in the version of Multus' own configuration (specification: "the same version
    supplied on input"); a configuration without one gets it as the delegate printed it."""
    if not version:
        return result
    return result._replace(cni_version=version, raw=results.as_version(result, version))


def pod_gone(version: str, ifname: str, netns: str) -> Result:
    """The pod no longer exists and nothing was attached, yet runtimes want an address: upstream's stand-in, valid in
    every version."""
    raw = {
        "cniVersion": versions.LATEST,
        "interfaces": [{"name": ifname, "sandbox": netns}],
        "ips": [{"interface": 0, "address": "0.0.0.0/0", "gateway": "0.0.0.0"}],  # noqa: S104
    }
    return answer(results.parse(raw, versions.LATEST, "stand-in"), versions.normalise(version))
