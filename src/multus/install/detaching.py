"""Detaches the further networks of every sandbox on record, so that what is left is the default network's alone.

The daemon does it, as it unplugs a network from a pod that lives (`/delegate`, docs/http-api.md): it knows what ADD was
given, and keeps the record. That needs hands on the host, the agent's: one that is there already, or one that is
started here for as long as it takes.
"""

from __future__ import annotations

import base64
import http.client
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from multus import errors, log
from multus.cni import config, rawjson
from multus.host import clock, records
from multus.install import uninstall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multus.install.settings import Settings
    from multus.networks.record import Entry, Record

#: How long the daemon and its hands are waited for, and one network's DEL, in seconds.
PATIENCE = 30.0
TIMEOUT = 60.0

PAUSE = 0.2


class _Connection(http.client.HTTPConnection):
    """To a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("dummy", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


def detach(told: Settings, agent: str | None = None) -> None:
    """Detach them; `agent` is the path of a `multus-shim` to be run as the agent meanwhile. Raises errors.CniError
    naming the first sandbox of which it failed; the others were tried."""
    failures = []
    with _agent(agent, told) as still_there:
        asking = _Asking(told.socket_dir, time.monotonic() + PATIENCE, still_there)
        for container_id in [one.container_id for one in uninstall.busy(told.cni_dir)]:
            failures += _detach_all(told.cni_dir, container_id, asking)
    if failures:
        raise failures[0]


def _detach_all(cni_dir: str, container_id: str, asking: _Asking) -> list[errors.CniError]:
    """The last one first."""
    failures = []
    record = records.RecordFiles(cni_dir, clock.SystemClock()).load(container_id, "eth0")
    for entry in reversed(record.entries if record is not None else ()):
        if entry.master or record is None:
            continue
        try:
            asking.ask(_request(container_id, record, entry))
            log.verbose("detached", container=container_id, network=entry.name, interface=entry.ifname)
        except errors.CniError as error:
            log.error("not detached", container=container_id, network=entry.name, error=error)
            failures.append(error)
    return failures


def _request(container_id: str, record: Record, entry: Entry) -> bytes:
    # Records of upstream's making name no pod, and the request needs one.
    namespace, name = record.pod.namespace or "unknown", record.pod.name or container_id
    args = {"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": namespace, "K8S_POD_NAME": name, "K8S_POD_UID": record.pod.uid}
    environ = {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": container_id,
        "CNI_NETNS": entry.netns,
        "CNI_IFNAME": entry.ifname,
        "CNI_ARGS": ";".join(f"{key}={value}" for key, value in args.items()),
    }
    return rawjson.encode({"env": environ, "config": base64.b64encode(config.encode(entry.config)).decode()})


class _Asking(NamedTuple):
    """Of the daemon, for which, and for its hands, is waited `until` (monotonic seconds) or `still_there` raises."""

    socket_dir: str
    until: float
    still_there: Callable[[], None]

    def ask(self, body: bytes) -> None:
        """Until it is done, or fails other than for want of daemon and hands. Raises errors.CniError."""
        while True:
            try:
                return _ask_once(os.path.join(self.socket_dir, "multus.sock"), body)
            except errors.TryAgainLater:
                if time.monotonic() >= self.until:
                    raise
            self.still_there()
            time.sleep(PAUSE)


def _ask_once(path: str, body: bytes) -> None:
    connection = _Connection(path)
    try:
        connection.request("POST", "/delegate", body)
        response = connection.getresponse()
        status, answer = response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise errors.TryAgainLater(f"detaching needs multus-daemon, not there on {path}: {error}") from error
    finally:
        connection.close()
    if status != 200:
        said = rawjson.loads_object(answer, "the daemon's answer")
        code, message = rawjson.whole(said, "code", "error"), rawjson.text(said, "msg", "error")
        again = code == errors.TryAgainLater.default_code
        raise errors.TryAgainLater(message) if again else errors.CniError(message, code=code)


@contextmanager
def _agent(path: str | None, told: Settings) -> Iterator[Callable[[], None]]:
    """For the time of a `with`: the agent runs, as far as the function it gives does not raise."""
    if path is None:
        yield lambda: None
        return
    try:
        process = subprocess.Popen([path, "--agent", told.socket_dir, *_plugins(told)])
    except OSError as error:
        raise errors.IoFailure(f"can't start {path}: {error.strerror}") from error

    def still_there() -> None:
        if process.poll() is not None:
            raise errors.IoFailure(f"the agent {path} ended with status {process.returncode}, its message says why")

    try:
        yield still_there
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _plugins(told: Settings) -> list[str]:
    """Where the agent looks for plugins on the host, if told."""
    found = told.wanted.keys.get("binDir")
    return [found] if isinstance(found, str) and found else []
