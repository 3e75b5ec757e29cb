"""`multusctl status`: a node seen through its files."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus.cni import config
from multus.cni.arguments import PodArgs
from multus.ctl import main
from multus.install import state
from multus.networks import record

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = config.from_object({"cniVersion": "1.0.0", "name": "net", "type": "bridge"}, "test")

RECORD = record.encode(record.Record((record.from_cached(NETWORK, "eth0", "/netns", (), {}, "eth0"),), PodArgs()))


class Node:
    """A node's directories, and its configuration."""

    def __init__(self, root: Path) -> None:
        self.conf, self.run, self.records = (root / name for name in ("net.d", "run", "records"))
        for directory in (self.conf, self.run, self.records):
            directory.mkdir()
        self.config = root / "daemon-config.json"
        told = {"cniConfigDir": self.conf, "socketDir": self.run, "cniDir": self.records}
        self.config.write_text(json.dumps({key: str(path) for key, path in told.items()}))

    def install(self, problem: str = "") -> None:
        """As the installer leaves it, with a living daemon."""
        file = self.conf / "00-multus.conf"
        file.write_text("{}")
        state.save(
            str(self.conf / "multus.d"), state.State(str(file), "/etc/10-flannel.conflist", "the first", problem)
        )
        self.beat()

    def beat(self, ago: float = 0.0) -> None:
        """A sign of life of the daemon."""
        (self.run / "heartbeat").touch()
        then = time.time() - ago
        os.utime(self.run / "heartbeat", (then, then))

    def record(self, container_id: str, content: bytes) -> None:
        """What is on record of a sandbox."""
        (self.records / container_id).write_bytes(content)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def status(node: Node, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Exit status, and what is told as JSON."""
    code = main.main(["status", "--config", str(node.config), "--output", "json"])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["healthy"] is (code == 0)
    return code, told


def test_a_healthy_node(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """The configuration, the default network and why, the daemon, what is on record."""
    node.install()
    node.record("c1", RECORD)
    node.record("c2", RECORD)
    code, told = status(node, capsys)
    assert code == 0
    assert (told["configuration"], told["default_network"]) == (
        f"{node.conf}/00-multus.conf",
        "/etc/10-flannel.conflist",
    )
    assert (told["why"], told["problem"]) == ("the first", "")
    assert (told["sandboxes"], told["attachments"], told["damaged"]) == (2, 2, 0)
    assert main.main(["status", "--config", str(node.config)]) == 0
    text = capsys.readouterr().out
    assert "default network  /etc/10-flannel.conflist\nbecause          the first\n" in text
    assert "on record        2 sandboxes, 2 attachments\n" in text


def test_nothing_is_installed(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """Empty directories: nothing in force, which is exit status 1."""
    code, told = status(node, capsys)
    assert code == 1
    assert (told["configuration"], told["daemon_age"], told["sandboxes"]) == ("", None, 0)


def test_the_installers_problem_is_told(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """What keeps the configuration from being in force."""
    node.install(problem="a rival takes the file away")
    assert status(node, capsys)[1]["problem"] == "a rival takes the file away"


def test_a_configuration_that_is_gone(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """The installer's word is not believed against the directory."""
    node.install()
    (node.conf / "00-multus.conf").unlink()
    code, told = status(node, capsys)
    assert code == 1
    assert (told["configuration"], told["problem"]) == ("", f"{node.conf}/00-multus.conf is gone")


def test_a_daemon_that_is_away(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """No sign of life for a while."""
    node.install()
    node.beat(ago=100)
    assert status(node, capsys)[0] == 1
    main.main(["status", "--config", str(node.config)])
    assert "last sign of life 100 s ago: not there\n" in capsys.readouterr().out


def test_damaged_records_stay_where_they_are(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """Looking changes nothing."""
    node.install()
    node.record("c1", b"no record")
    told = status(node, capsys)[1]
    assert (told["sandboxes"], told["damaged"]) == (1, 1)
    assert (node.records / "c1").exists()


def test_a_configuration_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, and exit status 2."""
    assert main.main(["status", "--config", str(tmp_path / "none")]) == main.UNABLE
    assert f"multusctl: can't read {tmp_path}/none" in capsys.readouterr().err
