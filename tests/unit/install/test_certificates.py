"""The command lines of per-node certificates, and the daemon's key for them."""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.certificates import rotation
from multus.daemon import certificate, settings
from multus.install import cert_approver, flags, kubeconfig_generator

if TYPE_CHECKING:
    from pathlib import Path

NODE = {"MULTUS_NODE_NAME": "n1"}


def wanted(tmp_path: Path, *arguments: str) -> rotation.Wanted:
    (tmp_path / "bootstrap").touch()
    given = [f"--bootstrap-config={tmp_path}/bootstrap", f"--certdir={tmp_path}", *arguments]
    return kubeconfig_generator.wanted(flags.parse(given, kubeconfig_generator.DEFAULTS), NODE)


def test_flags(tmp_path: Path) -> None:
    """Upstream's, with `--kubeconfig` heeded."""
    assert wanted(tmp_path) == ("n1", f"{tmp_path}/bootstrap", str(tmp_path), "/run/multus/kubeconfig", 600)
    assert wanted(tmp_path, "--kubeconfig=/x", "--cert-duration", "24h") == (
        ("n1", f"{tmp_path}/bootstrap", str(tmp_path), "/x", 86400)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bootstrap-config=/nowhere"], "bootstrap-config is not found"),
        (["--certdir=/nowhere"], "certdir is not found"),
        (["--cert-duration=1m"], "ten minutes at least"),
        (["--cert-duration=8761h"], "365 days"),
        (["--cert-duration=x"], "not a duration"),
    ],
)
def test_wrong_flags(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Each is named."""
    with pytest.raises(errors.InvalidConfig, match=message):
        wanted(tmp_path, *arguments)


def test_node_name_is_mandatory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit status 1, in upstream's words."""
    (tmp_path / "bootstrap").touch()
    given = [f"--bootstrap-config={tmp_path}/bootstrap", f"--certdir={tmp_path}"]
    assert kubeconfig_generator.run(given, {}, threading.Event()) == 1
    assert "please check manifest to have MULTUS_NODE_NAME" in capfd.readouterr().err


def test_help(capfd: pytest.CaptureFixture[str]) -> None:
    """Exit status 1, as upstream; every flag is named."""
    assert kubeconfig_generator.run(["-h"], {}, threading.Event()) == 1
    shown = capfd.readouterr().err
    assert all(f"--{name} " in shown for name in kubeconfig_generator.DEFAULTS)


def test_kubeconfig_goes_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays as long as the process, which ends with status 0."""
    (tmp_path / "bootstrap").touch()
    seen = []

    class Keeper:
        def __init__(self, told: rotation.Wanted, environ: object) -> None:
            self.told = told

        def ensure(self, stopped: threading.Event) -> None:
            (tmp_path / "own").write_text("{}")

        def keep(self, stopped: threading.Event) -> None:
            seen.append((tmp_path / "own").exists())

    monkeypatch.setattr(rotation, "Rotation", Keeper)
    given = [f"--bootstrap-config={tmp_path}/bootstrap", f"--certdir={tmp_path}", f"--kubeconfig={tmp_path}/own"]
    assert kubeconfig_generator.run(given, NODE, threading.Event()) == 0
    assert seen == [True]
    assert not (tmp_path / "own").exists()


def test_approver_wants_a_cluster(capfd: pytest.CaptureFixture[str]) -> None:
    """Without a service account it can't do anything, and says so."""
    assert cert_approver.run({}, threading.Event()) == 1
    assert "no service account" in capfd.readouterr().err


def loads(**keys: Any) -> settings.Settings:
    return settings.loads(json.dumps({"perNodeCertificate": keys}).encode(), "file", "n1")[0]


def test_daemon_without() -> None:
    """Not enabled: the configured kubeconfig, and the library is not touched."""
    assert not loads(bootstrapKubeconfig="/b").node_certificate.enabled
    assert certificate.kubeconfig(settings.Settings(kubeconfig="/k"), {}) == "/k"


@pytest.mark.parametrize("keys", [{}, {"bootstrapKubeconfig": "/b"}, {"certDir": "/c"}])
def test_daemon_needs_both_paths(keys: dict[str, str]) -> None:
    """Upstream's words."""
    with pytest.raises(errors.InvalidConfig, match="failed to configure PerNodeCertificate: enabled: true"):
        loads(enabled=True, **keys)


@pytest.mark.parametrize(("given", "found"), [("24h", 86400.0), ("48h", 172800.0), ("10m", 600.0)])
def test_daemon_duration(given: str, found: float) -> None:
    """More than a day is possible."""
    told = loads(enabled=True, bootstrapKubeconfig="/b", certDir="/c", certDuration=given)
    assert told.node_certificate == (True, "/b", "/c", found)


def test_daemon_takes_the_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the first, renews from then on, and reads the kubeconfig beside the certificates."""
    calls: list[object] = []

    class Keeper:
        def __init__(self, told: rotation.Wanted, environ: object) -> None:
            calls.append(told)

        def ensure(self, stopped: threading.Event) -> None:
            calls.append("ensure")

        def start(self, stopped: threading.Event) -> None:
            calls.append("start")

    monkeypatch.setattr(rotation, "Rotation", Keeper)
    told = loads(enabled=True, bootstrapKubeconfig="/b", certDir="/c")._replace(kubeconfig="/k")
    assert certificate.kubeconfig(told, {}) == "/c/multus-client.kubeconfig"
    assert calls == [rotation.wanted("n1", "/b", "/c"), "ensure", "start"]


def test_arguments_of_the_approver(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no flags."""
    monkeypatch.setattr(sys, "argv", ["cert-approver", "--x"])
    with pytest.raises(SystemExit) as ended:
        cert_approver.main()
    assert ended.value.code == 1
