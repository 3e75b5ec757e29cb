"""One cluster for all scenarios of a plugin; a namespace for each; what each left behind; the table at the end."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kube_assets
from support.node import leftovers, plugins
from support.node.api import Timeout
from support.node.cluster import Cluster
from support.node.pods import Namespace

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from support.node.plugins import Plugin

#: Of `--node`, beside the plugins.
OTHERS = "others"

PLUGINS: dict[str, Plugin] = {"thin": plugins.Thin(), "thick": plugins.Thick()}
NODES = (*PLUGINS, OTHERS)

_NAMES = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """The tier's marker."""
    config.addinivalue_line(
        "markers", "cluster: needs root and the programs of a Kubernetes node (make cluster-assets)"
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """What run.py asks of each of its processes."""
    parser.addoption("--node", choices=NODES, help="only what is run on this node")
    parser.addoption("--table", type=Path, help="a file for the lines of the table")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The scenarios take minutes: they are run when they are asked for, by `-m cluster`; of one node, by `--node`."""
    wanted = config.option.node
    asked = "cluster" in config.option.markexpr
    kept = [
        item
        for item in items
        if (asked or not item.get_closest_marker("cluster")) and (wanted is None or wanted == _node(item))
    ]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def _node(item: pytest.Item) -> str:
    """That of the plugin under test; all that has no such parameter shares another, or needs none."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return str(parameters.get("plugin", OTHERS))


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder with the node's programs; without one, one line says what to do."""
    folder = kube_assets.folder()
    if kube_assets.missing(folder):
        pytest.skip(kube_assets.reason_not_to_build() or f"{folder} is not complete (make cluster-assets)")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return folder


@pytest.fixture(scope="session", params=PLUGINS)
def plugin(request: pytest.FixtureRequest) -> Plugin:
    """The plugin under test."""
    return PLUGINS[request.param]


@pytest.fixture(scope="session")
def cluster(assets: Path, plugin: Plugin) -> Iterator[Cluster]:
    """A node with its default network and the plugin under test."""
    with Cluster(assets) as made:
        plugins.prepare(made)
        made.wait_for_node()
        plugin.install(made)
        _prove(made)
        yield made


def _prove(cluster: Cluster) -> None:
    """One pod of all: where it does not run, no scenario needs to wait for its own."""
    pod = Namespace(cluster, "default").start("probe")
    try:
        cluster.wait("a first pod to run", lambda: pod.get()["status"].get("phase") == "Running", 60)
    except Timeout as error:
        pytest.fail(f"{error}\n{_last_words(cluster)}", pytrace=False)
    pod.delete(grace=0)
    pod.gone()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """An empty namespace; afterwards its pods are deleted and nothing of them may be left on the node."""
    made = Namespace(cluster, f"test{next(_NAMES)}")
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": made.name}})
    account = f"/api/v1/namespaces/{made.name}/serviceaccounts/default"
    cluster.wait("the service account", lambda: cluster.api.answers(account))
    yield made
    made.empty()
    _nothing_left(cluster)
    cluster.api.delete(f"/api/v1/namespaces/{made.name}")


def _nothing_left(cluster: Cluster) -> None:
    """The kubelet removes a pod from the API when its sandbox is stopped; a failed start is undone a little later."""
    try:
        cluster.wait("nothing to be left", lambda: not leftovers.find(cluster))
    except Timeout:
        pytest.fail("left over: " + "; ".join(leftovers.find(cluster)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in the report what the scenario shows, and, where it failed, what the node's programs said."""
    report = yield
    if item.get_closest_marker("cluster") is not None and isinstance(item, pytest.Function):
        report.user_properties.append(("scenario", (item.function.__doc__ or "").strip().partition("\n")[0]))
        report.user_properties.append(("where", _where(item)))
        cluster = item.funcargs.get("cluster")
        if report.failed and isinstance(cluster, Cluster):
            report.sections.append(("node", _last_words(cluster)))
    return report


def _where(item: pytest.Function) -> str:
    """Its plugin or its module, and what else its parameters say."""
    node, parameters = _node(item), item.callspec.id if hasattr(item, "callspec") else ""
    return parameters if node in PLUGINS else f"{item.path.stem.removeprefix('test_')} {parameters}".strip()


def _last_words(cluster: Cluster) -> str:
    parts = [f"── {path.stem}\n{cluster.log(path.stem)[-2500:]}" for path in sorted(cluster.layout.logs.glob("*.log"))]
    own = cluster.layout.disk / "log" / "multus.log"
    if own.exists():
        parts.append(f"── multus\n{own.read_text()[-4000:]}")
    if cluster.machine.pid and cluster.api.answers("/readyz"):
        events = cluster.api.get("/api/v1/events")["items"][-12:]
        parts.append("── events\n" + "\n".join(json.dumps(e["message"]) for e in events))
    return "\n".join(parts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of scenarios and outcomes."""
    rows: dict[str, list[pytest.TestReport]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if any(key == "scenario" for key, _ in getattr(report, "user_properties", [])):
                rows.setdefault(report.nodeid, []).append(report)
    lines = [_row(reports) for reports in rows.values()]
    if lines and config.option.table:
        config.option.table.write_text("".join(f"{line}\n" for line in lines))
    elif lines:
        terminalreporter.section("scenarios")
        for line in lines:
            terminalreporter.write_line(line)


def _row(reports: list[pytest.TestReport]) -> str:
    outcome = next((report.outcome for report in reports if report.outcome != "passed"), "passed")
    seconds = sum(report.duration for report in reports)
    properties = [pair for report in reports for pair in report.user_properties]
    told = dict(properties)
    # Each phase of a test reports what the phases before it have reported, too.
    notes = dict.fromkeys(str(value) for key, value in properties if key == "note" and value)
    return "; ".join([f"{told['where']:30} {outcome:7} {seconds:6.1f} s  {told['scenario']}", *notes])
