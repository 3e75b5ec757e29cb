"""`multus`, the one-shot plugin: the container runtime executes it for each pod, it runs the engine and ends.

Start-up time is a feature here (docs/design/0002): everything that a call may not need is imported where it is
needed. The process is injected (`run` takes environment and stdin, gives the answer), so tests need no process.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from multus import errors, log, serving
from multus.cni import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multus.cni.environment import Environment
    from multus.cni.rawjson import Json
    from multus.engine.call import Call, Ports
    from multus.networks.netconf import MultusConf
    from multus.oneshot import FlushingCluster, OneShotCluster

#: The conf on stdin; a runtime's is a few kilobytes.
STDIN_LIMIT = 4 << 20

ABOUT = "meta-plugin that delegates to other CNI plugins\nCNI protocol versions supported: {}\n"


def main() -> None:
    """The executable's entry: never returns."""
    arguments_given = sys.argv[1:]
    if arguments_given:
        _flags(arguments_given)
    if not os.environ.get("CNI_COMMAND"):
        os.write(2, ABOUT.format(", ".join(versions.SUPPORTED)).encode())
        os._exit(0)
    _end_cleanly_on_sigterm()
    # Delegates inherit it; the specification wants them run in the runtime's domain, not in somebody's directory.
    os.chdir("/")
    answer, later = run(os.environ, _stdin)
    _print(answer.stdout)
    if later:
        _detached(later)
    os._exit(answer.status)


def run(environ: Mapping[str, str], stdin: Callable[[], bytes]) -> tuple[serving.Answer, Sequence[Callable[[], None]]]:
    """Carry out what the environment asks: the answer, and the work that is left for after it. Never raises."""
    host = _ThisMachine(environ)
    return serving.answer(environ, stdin, host), host.later


class _ThisMachine:
    """A `serving.Host`: delegates are children of this process, everything is looked up when it is needed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._started = time.monotonic()
        self.later: list[Callable[[], None]] = []

    def configuration(self, raw: Json) -> Json:
        """As `serving.Host.configuration`: the request's own."""
        return raw

    def begin(self, request: Environment, conf: MultusConf) -> None:
        """As `serving.Host.begin`."""
        from multus.host import executor

        serving.log_to(conf.log_level, conf.log_to_stderr, conf.log_file, conf.log_options)
        if executor.MARKER in self._environ:
            raise errors.SelfDelegation("Multus was called by Multus: a delegate of its configuration is Multus itself")
        _refuse_uninstalled(request.command, conf.cni_dir)
        if request.command in ("ADD", "CHECK"):
            _check_netns(request.netns, self._environ)

    def deadline(self, budget: float) -> float:
        """As `serving.Host.deadline`."""
        return self._started + budget

    def ports(self, call: Call) -> Ports:
        """As `serving.Host.ports`."""
        from multus import oneshot
        from multus.engine.call import Ports
        from multus.host import clock, conffiles, executor, netlink, records
        from multus.host import results as result_files

        now = clock.SystemClock()
        cluster = self._cluster(call)
        return Ports(
            executor=executor.LocalExecutor(call.path.split(":"), executor.identities([sys.argv[0]]), now),
            cluster=cluster,
            records=records.RecordFiles(call.conf.cni_dir, now),
            results=result_files.ResultFiles(call.conf.cni_dir),
            conf_files=conffiles.ConfDirectory(call.conf.conf_dir),
            netlink=netlink.LocalNetlink(),
            devices=oneshot.OneShotDevices(call.conf, cluster) if cluster is not None else None,
            device_files=oneshot.OneShotDeviceFiles(call.conf.device_info_dir),
            clock=now,
            later=self.later.append,
        )

    def _cluster(self, call: Call) -> OneShotCluster | None:
        """Manifests where a directory is configured, else the API server where one is, else neither."""
        if call.environment.command == "CHECK":
            return None  # from the record alone
        connect = _connection(call.conf, self._environ)
        if connect is None:
            return None
        from multus import oneshot

        return oneshot.OneShotCluster(connect, self.later.append)


def _refuse_uninstalled(command: str, cni_dir: str) -> None:
    """A runtime that remembers our configuration may delete what it made with it, and no more."""
    from multus.host import records

    if command == "DEL" or not os.path.isdir(os.path.join(cni_dir, records.LAST_ORDERS)):
        return
    raised = errors.Unavailable if command == "STATUS" else errors.InvalidConfig
    raise raised("Multus was uninstalled here: let the runtime read its CNI configuration again")


def _connection(conf: MultusConf, environ: Mapping[str, str]) -> Callable[[], FlushingCluster] | None:
    if conf.manifests_dir:
        return lambda: _manifests(conf.manifests_dir)
    if conf.kubeconfig or (environ.get("KUBERNETES_SERVICE_HOST") and environ.get("KUBERNETES_SERVICE_PORT")):
        return lambda: _api_server(conf.kubeconfig, environ)
    return None


def _manifests(directory: str) -> FlushingCluster:
    from multus.manifests import cluster

    return cluster.ManifestCluster(directory)


def _api_server(kubeconfig: str, environ: Mapping[str, str]) -> FlushingCluster:
    from multus.kubernetes import connect

    made = connect.cluster(kubeconfig, environ, long_running=False)
    assert made is not None
    return made


def _check_netns(path: str, environ: Mapping[str, str]) -> None:
    from multus.host import netns

    if netns.same_namespace(path) and environ.get("CNI_NETNS_OVERRIDE", "").lower() not in ("1", "true"):
        raise errors.SameNamespace("plugin's netns and netns from CNI_NETNS should not be the same")


def _flags(given: Sequence[str]) -> None:
    """Go-style flags, as upstream's: ``-version`` and its spellings; anything else is a usage error."""
    from multus import __version__

    if given[0] in ("-version", "--version", "-v", "--v"):
        os.write(1, f"multus: version:{__version__}\n".encode())
        os._exit(0)
    os.write(2, f"multus: unknown flag {given[0]}\nusage: multus [--version]; a CNI plugin otherwise\n".encode())
    os._exit(2)


def _stdin() -> bytes:
    chunks = []
    size = 0
    while chunk := os.read(0, 1 << 16):
        size += len(chunk)
        if size > STDIN_LIMIT:
            raise errors.IoFailure(f"the configuration on stdin is larger than {STDIN_LIMIT} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _print(data: bytes) -> None:
    """The whole answer; a runtime that went away can't be helped."""
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError as error:
        log.error("answer not printed", error=error)


def _detached(later: Sequence[Callable[[], None]]) -> None:
    """What may happen after the answer happens in a child that the runtime does not wait for."""
    if os.fork():
        return
    try:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        for work in later:
            _attempt(work)
    finally:
        os._exit(0)


def _attempt(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception as error:
        log.error("after the answer", error=error)


def _end_cleanly_on_sigterm() -> None:
    import signal

    def end(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise serving.Terminated

    signal.signal(signal.SIGTERM, end)
