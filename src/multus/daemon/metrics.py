"""What the daemon counts and measures, in a registry of its own (docs/metrics.md).

Labels are of our own making, but for plugin types and codes: those are strangers' text, so only so many of each are
told apart.
"""

from __future__ import annotations

import math
import platform
import threading
from collections import deque
from typing import TYPE_CHECKING, TypeVar

import prometheus_client as prometheus

from multus import __version__, errors
from multus.daemon import httpwire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

VERBS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")
METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "connect", "trace")

#: Different values of a label that others choose; the rest are "other".
PLUGINS = 64
CODES = 32

OTHER = "other"

#: So many delegates are noted before they are counted, should no call end meanwhile.
NOTED = 1000

#: Seconds. Calls of a runtime take from milliseconds to minutes, requests of the API server and delegates less.
_LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 240.0)
_SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All metrics of one daemon. It is the observer of calls, delegates, API and HTTP requests. Thread-safe."""

    def __init__(self) -> None:
        # Without it each counter and histogram has a further series that says when it began.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self._registry)
        build = prometheus.Info("multus_build", "The running release.", registry=self._registry)
        build.info({"version": __version__, "python": platform.python_version()})
        self._plugins = _Bounded(PLUGINS)
        self._codes = _Bounded(CODES)
        self._requests = self._counter(
            "multus_server_request_total", "Requests of the HTTP API.", "handler", "code", "method"
        )
        self._calls = self._histogram("multus_call_duration_seconds", "Calls of the runtime.", _LONG, "verb", "outcome")
        self._delegates = self._histogram(
            "multus_delegate_duration_seconds", "Plugins that ran.", _LONG, "plugin", "verb"
        )
        #: Series by their labels, where those are told apart: to find one otherwise costs more than to observe.
        self._series: dict[tuple[str, str], prometheus.Histogram] = {}
        self._ended: dict[tuple[str, str], prometheus.Histogram] = {}
        self._asked: dict[tuple[str, str, int], prometheus.Histogram] = {}
        self._waited: deque[float] = deque()
        self._ran: deque[tuple[str, str, float, int]] = deque()
        self._failures = self._counter(
            "multus_delegate_failures_total", "Plugins that failed.", "plugin", "verb", "code"
        )
        self._waits = self._histogram(
            "multus_delegate_queue_wait_seconds", "How long plugins waited for one of the slots.", _SHORT
        )
        self._api = self._histogram(
            "multus_api_request_duration_seconds", "Requests to the API server.", _SHORT, "verb", "resource", "code"
        )
        self._watched: dict[str, prometheus.Gauge] = {}

    def _counter(self, name: str, about: str, *labels: str) -> prometheus.Counter:
        return prometheus.Counter(name, about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, buckets: Iterable[float], *labels: str) -> prometheus.Histogram:
        return prometheus.Histogram(name, about, labels, registry=self._registry, buckets=tuple(buckets))

    # ── what is told ────────────────────────────────────────────────────────────────────────────────────────────

    def request_ended(self, handler: str, method: str, status: int) -> None:
        """An HTTP request was answered."""
        known = method.lower() if method.lower() in METHODS else "unknown"
        self._requests.labels(handler, str(status), known).inc()

    def call_ended(self, verb: str, status: int, seconds: float) -> None:
        """A CNI call was answered; `status` is the exit status the runtime sees."""
        self._settle()
        outcome = "failure" if status else "success"
        series = self._ended.get((verb, outcome))
        if series is None:
            series = self._calls.labels(_verb(verb), outcome)
            if verb in VERBS:
                self._ended[verb, outcome] = series
        series.observe(seconds)

    def waited(self, seconds: float) -> None:
        """A delegate got its slot after that long."""
        self._waited.append(seconds)

    def delegate_ran(self, plugin: str, verb: str, seconds: float, code: int) -> None:
        """A delegate ended; `code` is 0, or that of its failure."""
        self._ran.append((plugin, verb, seconds, code))
        if len(self._ran) >= NOTED:
            self._settle()

    def api_request(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """A request to the API server ended; `code` is its HTTP status, 0 for none."""
        series = self._asked.get((verb, resource, code))
        if series is None:
            series = self._asked[verb, resource, code] = self._api.labels(verb, resource, str(code))
        series.observe(seconds)

    def _settle(self) -> None:
        """Count what was only noted: the next delegate of a call does not wait for that."""
        for seconds in _drained(self._waited):
            self._waits.observe(seconds)
        for plugin, verb, seconds, code in _drained(self._ran):
            self._count(plugin, verb, seconds, code)

    def _count(self, plugin: str, verb: str, seconds: float, code: int) -> None:
        """Only what is there to run can be a label."""
        series = self._series.get((plugin, verb))
        if series is not None and not code:
            series.observe(seconds)
            return
        ran = code not in (errors.PluginNotFound.default_code, errors.TryAgainLater.default_code)
        name = self._plugins.name(plugin, admit=ran)
        series = self._delegates.labels(name, _verb(verb))
        series.observe(seconds)
        if (name, _verb(verb)) == (plugin, verb):
            self._series[plugin, verb] = series
        if code:
            self._failures.labels(name, _verb(verb), self._codes.name(str(code))).inc()

    # ── what is asked at each scrape ────────────────────────────────────────────────────────────────────────────

    def watch(self, name: str, about: str, value: Callable[[], float], **labels: str) -> None:
        """A gauge `name` that is read when somebody scrapes; what `value` raises makes it NaN."""
        if name not in self._watched:
            self._watched[name] = prometheus.Gauge(name, about, tuple(labels), registry=self._registry)
        gauge = self._watched[name].labels(**labels) if labels else self._watched[name]
        gauge.set_function(lambda: _read(value))

    def exposition(self) -> httpwire.Response:
        """Everything, in Prometheus' text format."""
        self._settle()
        body = prometheus.generate_latest(self._registry)
        return httpwire.Response(200, body, prometheus.CONTENT_TYPE_PLAIN_0_0_4)


def _drained(noted: deque[T]) -> Iterator[T]:
    while noted:
        try:
            yield noted.popleft()
        except IndexError:  # another thread was quicker
            return


class _Bounded:
    """Values of a label that come from outside: the first `limit` of them, the others are one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def name(self, value: str, *, admit: bool = True) -> str:
        """`value`, or `OTHER`; `admit`: whether it may become one of those told apart."""
        if value in self._known:
            return value
        if not admit or len(value) > 64 or not value.isprintable():
            return OTHER
        with self._lock:
            if len(self._known) < self._limit:
                self._known.add(value)
        return value if value in self._known else OTHER


def _verb(verb: str) -> str:
    return verb if verb in VERBS else OTHER


def _read(value: Callable[[], float]) -> float:
    try:
        return value()
    except Exception:
        return math.nan
