"""Credentials that a program hands out: client-go's exec plugins, `client.authentication.k8s.io/v1` and `v1beta1`."""

from __future__ import annotations

import _thread
import json
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.kubernetes import credentials
from multus.kubernetes.access import Pem

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

    from multus.cni.rawjson import Json
    from multus.kubernetes.access import Identity
    from multus.kubernetes.kubeconfig import Section

GROUP = "client.authentication.k8s.io"
VERSIONS = (f"{GROUP}/v1", f"{GROUP}/v1beta1")

#: The longest a plugin may run, in seconds; those that ask a cloud take one or two.
PATIENCE = 30.0


class Spec(NamedTuple):
    """The `exec` section of a user. `where` is for messages; `cluster` is told to the plugin when it wants it."""

    where: str
    api_version: str
    command: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    install_hint: str = ""
    cluster: Json | None = None


def from_kubeconfig(plugin: Section, cluster: Section, base: Identity) -> ExecPlugin:
    """The plugin that a kubeconfig describes; nothing runs yet. Raises errors.InvalidConfig naming the field."""
    version, command = plugin.text("apiVersion"), plugin.text("command")
    if version not in VERSIONS:
        raise plugin.error("apiVersion", f"should be {' or '.join(VERSIONS)}")
    if not command:
        raise plugin.error("command", "is not set")
    if plugin.text("interactiveMode") == "Always":
        raise plugin.error("interactiveMode", "Always can't be met: nobody is there to type")
    if "/" in command:
        command = plugin.path("command")
    wants_cluster = plugin.flag("provideClusterInfo")
    spec = Spec(
        plugin.where,
        version,
        command,
        tuple(str(argument) for argument in plugin.items("args")),
        tuple(_variable(plugin, item) for item in plugin.items("env")),
        plugin.text("installHint"),
        _cluster_info(cluster) if wants_cluster else None,
    )
    return ExecPlugin(spec, base)


def _variable(plugin: Section, item: object) -> tuple[str, str]:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"]:
        raise plugin.error("env", "each item should be an object with name and value")
    return item["name"], str(item.get("value") or "")


class ExecPlugin:
    """Runs the plugin when first asked, and again when what it handed out expires."""

    def __init__(self, spec: Spec, base: Identity, environ: Mapping[str, str] = os.environ) -> None:
        self._spec = spec
        self._base = base
        self._environ = environ
        self._lock = _thread.allocate_lock()
        self._cached: tuple[Identity, float] | None = None

    def identity(self, deadline: float) -> Identity:
        """As `access.Credentials.identity`; threads that ask meanwhile wait for the one that runs it. Raises
        errors.InvalidConfig when the plugin can't be used, errors.ClusterError when it fails."""
        if not self._lock.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
            raise errors.ClusterError(f"{self._spec.where}: the plugin does not end")
        try:
            if self._cached is None or time.time() >= self._cached[1]:
                self._cached = self._obtain(deadline)
            return self._cached[0]
        finally:
            self._lock.release()

    def _obtain(self, deadline: float) -> tuple[Identity, float]:
        output = _run(self._spec, self._environ, min(PATIENCE, deadline - time.monotonic()))
        status = _status(output, self._spec)
        identity = self._base
        certificate, key = _string(status, "clientCertificateData"), _string(status, "clientKeyData")
        token = _string(status, "token")
        if bool(certificate) != bool(key) or not (token or certificate):
            raise _unusable(self._spec, "handed out neither a token nor a certificate with its key")
        if certificate:
            identity = identity._replace(certificate=Pem(certificate.encode()), key=Pem(key.encode()))
        if token:
            identity = credentials.with_token(identity, token)
        return identity, _expiry(_string(status, "expirationTimestamp"), self._spec)


def _run(spec: Spec, environ: Mapping[str, str], timeout: float) -> bytes:
    """The plugin's stdout. It gets no stdin, the whole environment and what the kubeconfig adds to it."""
    import subprocess

    information: dict[str, Any] = {"interactive": False}
    if spec.cluster is not None:
        information["cluster"] = spec.cluster
    request = {"apiVersion": spec.api_version, "kind": "ExecCredential", "spec": information}
    environment = {**environ, **dict(spec.env), "KUBERNETES_EXEC_INFO": json.dumps(request)}
    try:
        # A session of its own, so that at the deadline whatever it started can be ended with it.
        process = subprocess.Popen(
            [spec.command, *spec.args],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        hint = f" ({spec.install_hint.strip()[:500]})" if spec.install_hint else ""
        reason = getattr(error, "strerror", None) or str(error)
        raise errors.InvalidConfig(f"{spec.where}: can't run {spec.command}: {reason}{hint}") from error
    return _collect(process, spec, timeout)


def _collect(process: subprocess.Popen[bytes], spec: Spec, timeout: float) -> bytes:
    import subprocess

    with process:
        try:
            output, complaints = process.communicate(timeout=max(timeout, 0.1))
        except subprocess.TimeoutExpired as error:
            raise _unusable(spec, f"did not end within {max(timeout, 0.1):.1f} s and was killed") from error
        finally:
            _end(process)
    if process.returncode != 0:
        said = " ".join(complaints[-2000:].decode("utf-8", "replace").split())[-300:]
        raise _unusable(spec, f"failed with exit status {process.returncode}: {said or 'it printed nothing'}")
    return output


def _end(process: subprocess.Popen[bytes]) -> None:
    import signal

    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _status(output: bytes, spec: Spec) -> Json:
    try:
        answer = json.loads(output)
    except (ValueError, RecursionError) as error:
        raise _unusable(spec, "printed something that is not JSON") from error
    if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
        raise _unusable(spec, "printed no ExecCredential")
    if answer.get("apiVersion") != spec.api_version:
        raise _unusable(spec, f"answered in another apiVersion than {spec.api_version}")
    status = answer.get("status")
    if not isinstance(status, dict):
        raise _unusable(spec, "printed no status")
    return status


def _string(status: Json, key: str) -> str:
    value = status.get(key)
    return value if isinstance(value, str) else ""


def _expiry(text: str, spec: Spec) -> float:
    """Unix time at which the credentials end; without a timestamp they last as long as the process."""
    if not text:
        return float("inf")
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise _unusable(spec, "handed out an expirationTimestamp that is not RFC 3339") from error


def _cluster_info(cluster: Section) -> Json:
    """What `provideClusterInfo` tells: the cluster as the kubeconfig has it, the CA as data."""
    keys = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    information: dict[str, Any] = {key: cluster.raw[key] for key in keys if cluster.raw.get(key)}
    authority = cluster.path("certificate-authority")
    if authority and "certificate-authority-data" not in information:
        information["certificate-authority-data"] = _file_as_base64(authority, cluster)
    for extension in cluster.items("extensions"):
        if isinstance(extension, dict) and extension.get("name") == f"{GROUP}/exec":
            information["config"] = extension.get("extension")
    return information


def _file_as_base64(path: str, cluster: Section) -> str:
    import binascii

    try:
        with open(path, "rb") as file:
            return binascii.b2a_base64(file.read(), newline=False).decode("ascii")
    except OSError as error:
        raise cluster.error("certificate-authority", f"{path}: {error.strerror}") from error


def _unusable(spec: Spec, problem: str) -> errors.ClusterError:
    return errors.ClusterError(f"{spec.where}: credential plugin {spec.command} {problem}")
