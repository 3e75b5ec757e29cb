"""DELs that are owed: kept through restarts, carried out once, never on a sandbox that is not theirs any more."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from multus import errors, serving
from multus.cni import config
from multus.daemon import owed as owed_module
from multus.daemon.owed import Owed
from multus.networks import record
from multus.testing.namespaces import FakeNamespace
from unit.daemon.servers import NodeHands, Server
from unit.engine import world
from unit.engine.world import CONTAINER, NETNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENV = {
    "CNI_COMMAND": "DEL",
    "CNI_CONTAINERID": CONTAINER,
    "CNI_NETNS": NETNS,
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin",
    "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=uid-1",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path)
    yield one
    one.stop()


def hands(server: Server) -> NodeHands:
    return NodeHands(server.node)


def conf(server: Server) -> bytes:
    return json.dumps(server.node.conf).encode()


def env(container: str, command: str) -> dict[str, str]:
    netns = NETNS if container == CONTAINER else f"/run/netns/{container}"
    return {**ENV, "CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_NETNS": netns}


def attach(server: Server, container: str = CONTAINER) -> None:
    """ADD, as its runtime asked for it."""
    asked = env(container, "ADD")
    server.node.netlink.namespaces.setdefault(asked["CNI_NETNS"], FakeNamespace())
    done = serving.answer(asked, lambda: conf(server), server.host(hands(server), time.monotonic()))
    assert done.status == 0, done.stdout


def keep(server: Server, container: str = CONTAINER) -> bool:
    return server.owed.keep(env(container, "DEL"), conf(server))


def restarted(server: Server) -> Owed:
    return Owed(server.cni_dir, server.configuration, server.host)


def owed_files(server: Server) -> list[str]:
    return sorted(os.listdir(os.path.join(server.cni_dir, "owed")))


def test_carried_out(server: Server) -> None:
    """What is owed is done by the hands that come, and forgotten."""
    attach(server)
    assert keep(server)
    assert server.owed.carry_out(hands(server)) == 1
    assert server.node.is_clean()
    assert owed_files(server) == []
    assert server.owed.carry_out(hands(server)) == 0


def test_restart(server: Server) -> None:
    """It survives the daemon."""
    attach(server)
    keep(server)
    again = restarted(server)
    assert again.count == 1
    assert again.carry_out(hands(server)) == 1
    assert server.node.is_clean()


def test_half_written(server: Server) -> None:
    """What a killed daemon left half written is swept away."""
    attach(server)
    keep(server)
    stale = os.path.join(server.cni_dir, "owed", ".tmp-1-1")
    with open(stale, "w") as file:
        file.write("{")
    restarted(server)
    assert owed_files(server) == [CONTAINER]


def test_modes(server: Server) -> None:
    """The request is root's alone to read."""
    attach(server)
    keep(server)
    assert os.stat(os.path.join(server.cni_dir, "owed", CONTAINER)).st_mode & 0o777 == 0o600


def test_nothing_known(server: Server) -> None:
    """Nothing is owed to a sandbox nobody attached."""
    assert not keep(server)
    assert server.owed.count == 0


def test_cached_results_count(server: Server) -> None:
    """A sandbox whose record is lost is owed its DEL as well."""
    attach(server)
    server.records.remove(CONTAINER)
    assert keep(server)
    assert server.owed.carry_out(hands(server)) == 1
    assert server.node.is_clean()


def test_asked_twice(server: Server) -> None:
    """The runtime's retry replaces the first."""
    attach(server)
    keep(server)
    keep(server)
    assert server.owed.count == 1
    assert server.owed.carry_out(hands(server)) == 1


def test_attached_anew(server: Server) -> None:
    """A sandbox attached again under the same id lives: the DEL owed was for the one before."""
    attach(server)
    keep(server)
    attach(server)
    server.node.plugins.calls.clear()
    assert server.owed.carry_out(hands(server)) == 0
    assert server.node.order("DEL") == []
    assert server.on_record(CONTAINER) == ["eth0"]
    assert server.owed.count == 0


def test_deleted_meanwhile(server: Server) -> None:
    """A sandbox that somebody else deleted needs nothing more."""
    attach(server)
    keep(server)
    server.records.remove(CONTAINER)
    for cached in server.results.of(CONTAINER):
        server.results.remove(cached.network, CONTAINER, cached.ifname)
    server.node.plugins.calls.clear()
    assert server.owed.carry_out(hands(server)) == 0
    assert server.node.plugins.calls == []
    assert server.owed.count == 0


def test_failure_stays_owed(server: Server) -> None:
    """What could not be detached is still owed, not tried again at once, and done in the end."""
    attach(server)
    keep(server)
    server.node.plugins.broken.add(("DEL", "eth0", "bridge"))
    assert server.owed.carry_out(hands(server)) == 0
    assert server.on_record(CONTAINER) == ["eth0"]
    assert server.owed.count == 1
    server.node.plugins.broken.clear()
    server.node.plugins.calls.clear()
    assert server.owed.carry_out(hands(server)) == 0
    assert server.node.plugins.calls == []
    assert restarted(server).carry_out(hands(server)) == 1
    assert server.node.is_clean()


def test_hands_go_away(server: Server) -> None:
    """Hands that are gone are given nothing."""
    attach(server)
    keep(server)
    gone = hands(server)
    gone.gone = True
    assert server.owed.carry_out(gone) == 0
    assert server.on_record(CONTAINER) == ["eth0"]
    assert server.owed.carry_out(hands(server)) == 1


def test_hands_go_away_meanwhile(server: Server) -> None:
    """Hands that go away in the middle leave it owed."""
    attach(server)
    keep(server)
    server.node.plugins.answer("bridge", "DEL", errors.TryAgainLater("the hands are gone"))
    assert server.owed.carry_out(hands(server)) == 0
    assert server.owed.count == 1


def test_until(server: Server) -> None:
    """None is begun once the time is over."""
    attach(server)
    keep(server)
    assert server.owed.carry_out(hands(server), until=time.monotonic()) == 0
    assert server.owed.count == 1


def test_one_damaged(server: Server) -> None:
    """A damaged file is set aside and holds up no other."""
    attach(server)
    attach(server, "sandbox-2")
    keep(server)
    keep(server, "sandbox-2")
    for content in ("", "{", "null", "{}", '{"environ": {"CNI_COMMAND": "ADD"}}'):
        with open(os.path.join(server.cni_dir, "owed", CONTAINER), "w") as file:
            file.write(content)
        restarted(server).carry_out(hands(server))
        assert CONTAINER not in owed_files(server)
    assert owed_files(server) == []
    assert len(os.listdir(os.path.join(server.cni_dir, "damaged"))) == 5
    assert server.on_record(CONTAINER) == ["eth0"]
    assert server.on_record("sandbox-2") == []


def test_too_many(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are kept; one more is refused, so that its client knows."""
    monkeypatch.setattr(owed_module, "MAX_COUNT", 1)
    attach(server)
    attach(server, "sandbox-2")
    keep(server)
    with pytest.raises(errors.TryAgainLater, match="too many"):
        keep(server, "sandbox-2")
    assert keep(server)


def test_too_much(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so many bytes."""
    attach(server)
    monkeypatch.setattr(owed_module, "MAX_BYTES", 10)
    with pytest.raises(errors.TryAgainLater, match="too many"):
        keep(server)


@pytest.mark.parametrize("container", ["../../etc/passwd", "a/b", "", ".locks"])
def test_names(server: Server, container: str) -> None:
    """A container id is never a path."""
    with pytest.raises(errors.InvalidEnvironment):
        keep(server, container)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}"])
def test_bad_configuration(server: Server, text: bytes) -> None:
    """What could never be carried out is refused, not kept."""
    attach(server)
    with pytest.raises(errors.CniError):
        server.owed.keep(ENV, text)
    assert server.owed.count == 0


def test_plugged_networks_too(server: Server) -> None:
    """What was plugged meanwhile, by hands that have gone, is part of the record and goes with it."""
    attach(server)
    known = server.records.load(CONTAINER, "eth0")
    assert known is not None
    network = config.from_object(world.network("extra", world.plugin("macvlan")), "config")
    extra = record.from_cached(network, "ens4", NETNS, (), {}, "eth0")
    server.records.save(CONTAINER, known._replace(entries=(*known.entries, extra)))
    keep(server)
    assert server.owed.carry_out(hands(server)) == 1
    assert server.node.order("DEL") == [("macvlan", "ens4"), ("bridge", "eth0")]
