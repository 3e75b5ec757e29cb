"""What systemd is told (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from multus.daemon import systemd

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("abstract", [False, True])
def test_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    """The state as one datagram, to a path or to an abstract name."""
    name = f"@multus-{os.getpid()}-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if abstract else name)
        listening.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        systemd.notify("READY=1")
        assert listening.recv(64) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "relative", "/" + "x" * 200])
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Never an error."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    systemd.notify("READY=1")
