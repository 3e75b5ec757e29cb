"""Credential plugins, as real programs."""

from __future__ import annotations

import base64
import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.kubernetes import execplugin, kubeconfig
from multus.kubernetes.access import Identity, Pem

if TYPE_CHECKING:
    from pathlib import Path

V1 = "client.authentication.k8s.io/v1"
BETA = "client.authentication.k8s.io/v1beta1"


def program(directory: Path, text: str) -> str:
    """A shell script as the plugin; `{}` of an answer must be printed by it."""
    path = directory / "plugin"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def printing(directory: Path, status: dict[str, Any], version: str = V1) -> str:
    """A plugin that prints this status, and notes each run in the file ``runs``."""
    answer = directory / "answer.json"
    answer.write_text(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}))
    return program(directory, f"echo run >>{directory}/runs; cat {answer}")


def plugin(command: str, version: str = V1, **fields: Any) -> execplugin.ExecPlugin:
    """The plugin as `from_kubeconfig` makes it."""
    return execplugin.ExecPlugin(execplugin.Spec("kubeconfig /k", version, command, **fields), Identity(), os.environ)


def ask(source: execplugin.ExecPlugin, patience: float = 20.0) -> Identity:
    """The identity, within `patience` seconds."""
    return source.identity(time.monotonic() + patience)


@pytest.mark.parametrize("version", [V1, BETA])
def test_token(tmp_path: Path, version: str) -> None:
    """The token becomes the Authorization header."""
    source = plugin(printing(tmp_path, {"token": "abc"}, version), version)
    assert ask(source).headers == (("Authorization", "Bearer abc"),)


def test_client_certificate(tmp_path: Path) -> None:
    """A certificate and its key become the connection's."""
    status = {"clientCertificateData": "CERT", "clientKeyData": "KEY"}
    assert ask(plugin(printing(tmp_path, status)))[1:] == (Pem(b"CERT"), Pem(b"KEY"))


@pytest.mark.parametrize(("expiry", "runs"), [("", 1), ("2999-01-01T00:00:00Z", 1), ("2001-01-01T00:00:00+01:00", 2)])
def test_runs_again_when_expired(tmp_path: Path, expiry: str, runs: int) -> None:
    """What it handed out is kept until the expirationTimestamp, without one for good."""
    source = plugin(printing(tmp_path, {"token": "abc"} | ({"expirationTimestamp": expiry} if expiry else {})))
    ask(source)
    ask(source)
    assert (tmp_path / "runs").read_text().count("run") == runs


def test_what_the_plugin_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments, the whole environment and what the kubeconfig adds; KUBERNETES_EXEC_INFO; nothing on stdin."""
    monkeypatch.setenv("INHERITED", "yes")
    command = program(
        tmp_path,
        f'cat >{tmp_path}/stdin; echo "$1 $2 $INHERITED $ADDED" >{tmp_path}/seen\n'
        f'printf %s "$KUBERNETES_EXEC_INFO" >{tmp_path}/info\n'
        f'echo \'{{"kind":"ExecCredential","apiVersion":"{V1}","status":{{"token":"t"}}}}\'',
    )
    ask(plugin(command, args=("one", "two"), env=(("ADDED", "too"),), cluster={"server": "https://x"}))
    assert (tmp_path / "stdin").read_text() == ""
    assert (tmp_path / "seen").read_text() == "one two yes too\n"
    assert json.loads((tmp_path / "info").read_text()) == {
        "kind": "ExecCredential",
        "apiVersion": V1,
        "spec": {"interactive": False, "cluster": {"server": "https://x"}},
    }


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no luck >&2; exit 3", "failed with exit status 3: no luck"),
        ("exit 1", "failed with exit status 1: it printed nothing"),
        ("kill -9 $$", "exit status -9"),
        ("echo hello", "not JSON"),
        ("echo '[]'", "no ExecCredential"),
        (f'echo \'{{"kind":"ExecCredential","apiVersion":"{BETA}","status":{{"token":"t"}}}}\'', "another apiVersion"),
        (f'echo \'{{"kind":"ExecCredential","apiVersion":"{V1}"}}\'', "no status"),
        (f'echo \'{{"kind":"ExecCredential","apiVersion":"{V1}","status":{{}}}}\'', "neither a token nor"),
        (
            f'echo \'{{"kind":"ExecCredential","apiVersion":"{V1}","status":{{"clientCertificateData":"x"}}}}\'',
            "neither a token nor",
        ),
        (
            f'echo \'{{"kind":"ExecCredential","apiVersion":"{V1}",'
            '"status":{"token":"t","expirationTimestamp":"soon"}}\'',
            "not RFC 3339",
        ),
    ],
)
def test_failures(tmp_path: Path, script: str, message: str) -> None:
    """Each way to fail is a transient error that names the plugin and says which."""
    command = program(tmp_path, script)
    with pytest.raises(errors.ClusterError, match=f"credential plugin {command} .*{message}"):
        ask(plugin(command))


def test_missing_program(tmp_path: Path) -> None:
    """The installHint helps whoever has to install it."""
    with pytest.raises(errors.InvalidConfig, match=r"can't run .*/none: No such file or directory \(get it at x\)"):
        ask(plugin(str(tmp_path / "none"), install_hint="get it at x"))


def test_plugin_that_hangs_is_killed(tmp_path: Path) -> None:
    """At the deadline it and what it started are ended."""
    command = program(tmp_path, f"sleep 600 & echo $! >{tmp_path}/child; wait")
    with pytest.raises(errors.ClusterError, match="did not end within"):
        ask(plugin(command), patience=0.5)
    child = int((tmp_path / "child").read_text())
    for _ in range(200):
        if not _alive(child):
            break
        time.sleep(0.05)
    assert not _alive(child)


def test_from_kubeconfig(tmp_path: Path) -> None:
    """A relative command is found beside the kubeconfig; the cluster is told, its CA file as data."""
    (tmp_path / "ca.crt").write_bytes(b"PEM")
    program(
        tmp_path,
        f'printf %s "$KUBERNETES_EXEC_INFO" >{tmp_path}/info\n'
        f'echo \'{{"kind":"ExecCredential","apiVersion":"{V1}","status":{{"token":"t"}}}}\'',
    )
    cluster = {
        "server": "https://x",
        "certificate-authority": "ca.crt",
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}],
    }
    user = {"exec": {"apiVersion": V1, "command": "./plugin", "provideClusterInfo": True, "args": None}}
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    access = kubeconfig.parse(json.dumps(config).encode(), str(tmp_path / "config"))
    access.credentials.identity(time.monotonic() + 20)
    assert json.loads((tmp_path / "info").read_text())["spec"]["cluster"] == {
        "server": "https://x",
        "certificate-authority-data": base64.b64encode(b"PEM").decode(),
        "config": {"audience": "a"},
    }


def _alive(pid: int) -> bool:
    """Whether the process runs; one that ended but was not reaped does not count."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
