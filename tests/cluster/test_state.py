"""What the node keeps on disk."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from support.node import leftovers, verbs
from support.node.pods import bridge, container

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.node.pods import Namespace, Pod

Json = dict[str, Any]

pytestmark = pytest.mark.cluster

#: Members that the Go original had from its first revision; it wrote each of them, empty or not.
OLDER = {"Conf", "ConfList", "Bytes", "ifnameRequest", "macRequest", "ipRequest", "portMappingsRequest"}


def record_of(pod: Pod) -> Path:
    """The record of a pod's sandbox: the only one that is about its UID."""
    uid = pod.get()["metadata"]["uid"]
    folder = pod.cluster.machine.file(leftovers.RECORDS)
    return next(path for path in folder.iterdir() if path.is_file() and uid in path.read_text())


def as_upstream(element: Json) -> Json:
    """An element as upstream's current revision writes it."""
    return {key: value for key, value in element.items() if key != "multus.io"}


def as_upstream_in_2020(element: Json) -> Json:
    """As its revision of 2020 did: one flag for both families, and a name only where the network came from a NAD."""
    kept = {key: element[key] for key in OLDER & element.keys()}
    return {**kept, "Name": element["Name"] if "/" in element["Name"] else "", "IsFilterGateway": False}


@pytest.mark.parametrize("revision", [as_upstream, as_upstream_in_2020])
def test_record_of_upstream(namespace: Namespace, revision: Callable[[Json], Json]) -> None:
    """A pod whose record is of upstream's making: it can be checked; without cached results, too, it is deleted."""
    namespace.network("one", bridge())
    namespace.network("two", bridge())
    pod = namespace.pod("pod", "one,two@data")
    record = record_of(pod)
    record.write_text(json.dumps([revision(element) for element in json.loads(record.read_text())]))
    verbs.check(pod)
    for path in (record.parent / "results").iterdir():
        path.unlink()
    pod.delete()
    pod.gone()


def test_lost_record(namespace: Namespace) -> None:
    """A record that is lost, as in a power cut: the cached results are enough to detach everything."""
    namespace.network("one", bridge())
    pod = namespace.pod("pod", "one")
    record_of(pod).unlink()
    pod.delete()
    pod.gone()


def test_leftovers_are_seen(namespace: Namespace) -> None:
    """The proof of all other scenarios: of a pod that runs, every kind of trace is found."""
    namespace.network("one", bridge())
    ports = [{"containerPort": 80, "hostPort": 18081}]
    namespace.pod("pod", "one", containers=[container(ports=ports)])
    found = leftovers.find(namespace.cluster)
    for kind in (
        "link veth",
        "network namespace cni-",
        "lease primary/",
        "record ",
        "results: ",
        "result of",
        "chain ",
    ):
        assert any(trace.startswith(kind) for trace in found), kind


def test_files_are_private(namespace: Namespace) -> None:
    """Records and results are readable by root alone: they hold what NADs hold."""
    namespace.network("one", bridge())
    record = record_of(namespace.pod("pod", "one"))
    for path in (record, *(record.parent / "results").iterdir()):
        assert os.stat(path).st_mode & 0o077 == 0
