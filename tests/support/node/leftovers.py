"""What a node still has of pods that are gone; an empty list is the proof that nothing leaks."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from support.node import layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.node.cluster import Cluster

#: Chains that the plugins make once and leave for ever, by design.
OWN_CHAINS = {"CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ", "CNI-ADMIN", "CNI-FORWARD"}

RECORDS = "/var/lib/cni/multus"


def find(cluster: Cluster) -> list[str]:
    """Everything that is left over, each in a few words. To be called when no pod exists."""
    return [*_links(cluster), *_namespaces(cluster), *_files(cluster), *_chains(cluster)]


def remove_forgotten_namespaces(cluster: Cluster) -> None:
    """Remove what a killed containerd forgets: network namespaces that it was making or removing, without an interface.

    To be called when no pod exists. One with an interface in it is left where it is, to be found; one that it has not
    forgotten after all may vanish meanwhile."""
    for path in _listed(cluster.machine.file(layout.NETNS_DIR)):
        inside = layout.NETNS_DIR / path.name
        links = json.loads(cluster.machine.run("nsenter", f"--net={inside}", "ip", "-j", "link", check=False) or "[]")
        if [link["ifname"] for link in links] == ["lo"]:
            cluster.machine.run("umount", str(inside), check=False)
            path.unlink(missing_ok=True)


def only_forgotten_namespaces(cluster: Cluster) -> bool:
    """Whether nothing is left but what `remove_forgotten_namespaces` has removed now; deletions may still go on."""
    remove_forgotten_namespaces(cluster)
    return not find(cluster)


def _links(cluster: Cluster) -> Iterator[str]:
    """Only bridges, the cable and the loopback belong to the node itself."""
    for link in json.loads(cluster.machine.run("ip", "-j", "-d", "link")):
        if link["ifname"] not in ("lo", "eth0") and link.get("linkinfo", {}).get("info_kind") != "bridge":
            yield f"link {link['ifname']}"


def _namespaces(cluster: Cluster) -> Iterator[str]:
    for path in _listed(cluster.machine.file(layout.NETNS_DIR)):
        yield f"network namespace {path.name}"


def _files(cluster: Cluster) -> Iterator[str]:
    """Leases of host-local; all that Multus writes for a sandbox; results of the runtime's libcni."""
    for lease in cluster.machine.file("/var/lib/cni/networks").glob("*/*.*.*.*"):
        yield f"lease {lease.parent.name}/{lease.name}"
    records = cluster.machine.file(RECORDS)
    for path in _listed(records):
        if path.is_file():
            yield f"record {path.name}"
    for folder in ("results", "damaged", "owed"):
        for path in _listed(records / folder):
            yield f"{folder}: {path.name}"
    for path in _listed(cluster.machine.file("/run/multus/inflight")):
        yield f"in flight: {path.name}"
    for path in _listed(records / ".locks"):
        if path.name != ".node":
            yield f"lock {path.name}"
    for path in _listed(cluster.machine.file("/var/lib/cni/results")):
        yield f"result of the runtime {path.name}"


def _chains(cluster: Cluster) -> Iterator[str]:
    rules = cluster.machine.run("iptables-save", "-t", "nat")
    for chain in re.findall(r"^:(CNI-\S+)", rules, re.MULTILINE):
        if chain not in OWN_CHAINS:
            yield f"chain {chain}"


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
