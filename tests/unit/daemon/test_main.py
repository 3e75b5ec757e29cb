"""The executable: flags, configuration, what can't be started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import multus

SOURCE = Path(__file__).parents[3] / "src"
CODE = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from multus.daemon.main import main; main()"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the daemon is root's")


def run(*flags: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    command = [sys.executable, "-I", "-c", CODE, *flags]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def configured(tmp_path: Path, **keys: Any) -> str:
    path = tmp_path / "daemon-config.json"
    path.write_text(json.dumps({"socketDir": str(tmp_path / "run"), "cniDir": str(tmp_path / "cni"), **keys}))
    return str(path)


@pytest.mark.parametrize("flag", ["-version", "--version"])
def test_version(flag: str) -> None:
    """It says which it is."""
    assert run(flag) == (0, f"multus-daemon: version:{multus.__version__}\n", "")


@pytest.mark.parametrize("flags", [("-x",), ("config",), ("-config",), ("--config",), ("version",)])
def test_wrong_usage(flags: tuple[str, ...]) -> None:
    """An unknown flag, or one without its value, is a usage error."""
    status, out, err = run(*flags)
    assert (status, out) == (2, "")
    assert "usage: multus-daemon" in err


@pytest.mark.parametrize("content", ["", "{", '{"metricsPort": "x"}', '{"connectionLimit": 0}'])
def test_unusable_configuration(tmp_path: Path, content: str) -> None:
    """Exit status 1, and one line that names the file."""
    path = tmp_path / "c"
    path.write_text(content)
    status, _, err = run(f"-config={path}")
    assert status == 1
    assert str(path) in err
    assert len(err.splitlines()) == 1


def test_missing_configuration(tmp_path: Path) -> None:
    """As above."""
    status, _, err = run("--config", str(tmp_path / "none"))
    assert status == 1
    assert "No such file or directory" in err


@needs_root
@pytest.mark.parametrize("key", ["socketDir", "cniDir"])
def test_directory_that_cannot_be_made(tmp_path: Path, key: str) -> None:
    """Exit status 3, and the key to change."""
    (tmp_path / "file").write_text("")
    status, _, err = run("-config", configured(tmp_path, **{key: str(tmp_path / "file" / "x")}))
    assert status == 3
    assert key in err


@needs_root
def test_orderly_life(tmp_path: Path) -> None:
    """It serves where it was told to, tells systemd, reports unknown keys, and ends with status 0."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        environ = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(tmp_path / "notify")}
        log = tmp_path / "log"
        path = configured(tmp_path, logFile=str(log), logLevel="verbose", socketdri="/x")
        process = subprocess.Popen([sys.executable, "-I", "-c", CODE, "-config", path], env=environ)
        assert systemd.recv(64) == b"READY=1"
        run_dir = tmp_path / "run"
        assert run_dir.stat().st_mode & 0o777 == 0o700
        assert (run_dir / "exec.sock").stat().st_mode & 0o777 == 0o600
        assert (run_dir / "heartbeat").exists()
        process.terminate()
        assert systemd.recv(64) == b"STOPPING=1"
        assert process.wait(60) == 0
    assert "unknown key 'socketdri' is ignored" in log.read_text()
