"""Metrics: upstream's counter, ours, and that no stranger can make more of them."""

from __future__ import annotations

import math
import re
import threading
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from multus import __version__, errors
from multus.daemon import metrics
from multus.daemon.metrics import Metrics

Labels = dict[str, str]


def samples(one: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Everything, read as Prometheus reads it."""
    text = one.exposition().body.decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(one: Metrics, name: str, **labels: str) -> float:
    return samples(one)[name, frozenset(labels.items())]


def label_values(one: Metrics, name: str, label: str) -> set[str]:
    return {dict(labels)[label] for (found, labels) in samples(one) if found == name}


def test_upstreams_counter() -> None:
    """Upstream's counter with its labels; the method in lower case, an unknown one as promhttp calls it."""
    one = Metrics()
    one.request_ended("/cni", "POST", 200)
    one.request_ended("/cni", "POST", 200)
    one.request_ended("NotFound", "FROBNICATE", 404)
    assert value(one, "multus_server_request_total", handler="/cni", code="200", method="post") == 2
    assert value(one, "multus_server_request_total", handler="NotFound", code="404", method="unknown") == 1


def test_calls() -> None:
    """Calls by verb and outcome."""
    one = Metrics()
    one.call_ended("ADD", 0, 0.2)
    one.call_ended("ADD", 1, 3.0)
    assert value(one, "multus_call_duration_seconds_count", verb="ADD", outcome="success") == 1
    assert value(one, "multus_call_duration_seconds_sum", verb="ADD", outcome="failure") == 3.0
    assert value(one, "multus_call_duration_seconds_bucket", verb="ADD", outcome="success", le="0.25") == 1
    assert value(one, "multus_call_duration_seconds_bucket", verb="ADD", outcome="success", le="0.1") == 0


def test_delegates() -> None:
    """Delegates by type and verb; failures by code."""
    one = Metrics()
    one.waited(0.02)
    one.delegate_ran("bridge", "ADD", 0.1, 0)
    one.delegate_ran("bridge", "ADD", 0.1, 7)
    assert value(one, "multus_delegate_duration_seconds_count", plugin="bridge", verb="ADD") == 2
    assert value(one, "multus_delegate_failures_total", plugin="bridge", verb="ADD", code="7") == 1
    assert value(one, "multus_delegate_queue_wait_seconds_count") == 1


def test_plugins_that_are_not_there() -> None:
    """A type that a NAD makes up never becomes a label; one that ran stays one when it fails later."""
    one = Metrics()
    one.delegate_ran("made-up", "ADD", 0.1, errors.PluginNotFound.default_code)
    one.delegate_ran("slow", "ADD", 0.1, errors.PluginTimeout.default_code)
    one.delegate_ran("bridge", "ADD", 0.1, 0)
    one.delegate_ran("bridge", "ADD", 0.1, errors.PluginTimeout.default_code)
    assert label_values(one, "multus_delegate_duration_seconds_count", "plugin") == {"bridge", "other"}
    assert value(one, "multus_delegate_failures_total", plugin="bridge", verb="ADD", code="11") == 1


def test_cardinality() -> None:
    """However many types, codes, verbs and methods there are, the labels are so many and no more."""
    one = Metrics()
    for number in range(1000):
        one.delegate_ran(f"plugin-{number}", f"VERB{number}", 0.1, 1000 + number)
        one.call_ended(f"VERB{number}", 0, 0.1)
        one.request_ended("/cni", f"METHOD{number}", 200)
    assert len(label_values(one, "multus_delegate_failures_total", "plugin")) == metrics.PLUGINS + 1
    assert len(label_values(one, "multus_delegate_failures_total", "code")) == metrics.CODES + 1
    assert label_values(one, "multus_call_duration_seconds_count", "verb") == {"other"}
    assert label_values(one, "multus_server_request_total", "method") == {"unknown"}


@pytest.mark.parametrize("plugin", ["a\nb", 'a"b\\', "x" * 300, "\x1b[31m"])
def test_odd_names(plugin: str) -> None:
    """Whatever a type is called, the exposition can be read."""
    one = Metrics()
    one.delegate_ran(plugin, "ADD", 0.1, 0)
    assert len(label_values(one, "multus_delegate_duration_seconds_count", "plugin")) == 1


def test_api_requests() -> None:
    """Requests to the API server; 0 is no answer."""
    one = Metrics()
    one.api_request("patch", "pods/status", 200, 0.01)
    one.api_request("get", "pods", 0, 5.0)
    assert (
        value(one, "multus_api_request_duration_seconds_count", verb="patch", resource="pods/status", code="200") == 1
    )
    assert value(one, "multus_api_request_duration_seconds_count", verb="get", resource="pods", code="0") == 1


def test_gauges() -> None:
    """Gauges are read at each scrape; one that can't be read is NaN, and infinity is infinity."""
    one = Metrics()
    ages = {"pods": 1.0, "networks": math.inf}
    for resource in (*ages, "broken"):
        one.watch("multus_reflector_age_seconds", "Age.", partial(ages.__getitem__, resource), resource=resource)
    one.watch("multus_records", "Records.", lambda: 3)
    assert value(one, "multus_reflector_age_seconds", resource="pods") == 1.0
    ages["pods"] = 2.0
    assert value(one, "multus_reflector_age_seconds", resource="pods") == 2.0
    assert value(one, "multus_reflector_age_seconds", resource="networks") == math.inf
    assert math.isnan(value(one, "multus_reflector_age_seconds", resource="broken"))
    assert value(one, "multus_records") == 3


def test_build_and_process() -> None:
    """The release, and the process's own figures; nothing of when a series was made."""
    one = Metrics()
    found = {name: dict(labels) for name, labels in samples(one)}
    assert found["multus_build_info"]["version"] == __version__
    assert {"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"} <= set(found)
    one.call_ended("ADD", 0, 0.1)
    assert not any(name.endswith("_created") for name, _ in samples(one))


def test_two_daemons() -> None:
    """Each has a registry of its own."""
    one, other = Metrics(), Metrics()
    one.call_ended("ADD", 0, 0.1)
    assert not [name for name, _ in samples(other) if name == "multus_call_duration_seconds_count"]


def test_threads() -> None:
    """Nothing is lost when many threads count."""
    one = Metrics()

    def count() -> None:
        for number in range(500):
            one.delegate_ran(f"plugin-{number % 100}", "ADD", 0.001, 0)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(
        number for (name, _), number in samples(one).items() if name.endswith("delegate_duration_seconds_count")
    )
    assert total == 4000
    assert len(label_values(one, "multus_delegate_duration_seconds_count", "plugin")) == metrics.PLUGINS + 1


def test_every_metric_is_documented() -> None:
    """The reference names every metric, and what it names exists."""
    root = Path(__file__).parents[3]
    sources = (root / "src" / "multus" / "daemon").glob("*.py")
    made = {name for path in sources for name in re.findall(r'"(multus_[a-z_]+)"', path.read_text())}
    rows = [line.split("|")[1] for line in (root / "docs" / "metrics.md").read_text().splitlines() if line[:2] == "| "]
    named = {name for row in rows for name in re.findall(r"`(multus_[a-z_]+)`", row)}
    assert {name + "_info" if name == "multus_build" else name for name in made} == named


def test_delegates_are_counted_without_a_call_that_ends() -> None:
    """What is noted is bounded."""
    one = Metrics()
    for _ in range(metrics.NOTED + 1):
        one.waited(0.0)
        one.delegate_ran("bridge", "ADD", 0.01, 0)
    assert value(one, "multus_delegate_duration_seconds_count", plugin="bridge", verb="ADD") == metrics.NOTED + 1
    assert value(one, "multus_delegate_queue_wait_seconds_count") == metrics.NOTED + 1
