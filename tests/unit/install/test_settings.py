"""The installer's keys of the daemon's file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multus import errors
from multus.daemon import settings as daemon
from multus.install import generate, settings


def loads(**keys: Any) -> settings.Settings:
    return settings.loads(json.dumps(keys).encode(), "file")


def test_defaults() -> None:
    """An empty object is a node with the usual directories."""
    assert loads() == settings.Settings()


def test_upstreams_file() -> None:
    """Upstream's ConfigMap is read as it is; the default network's directory is where the file goes."""
    told = loads(
        chrootDir="/hostroot",
        cniVersion="0.3.1",
        logLevel="verbose",
        logToStderr=True,
        cniConfigDir="/host/etc/cni/net.d",
        multusAutoconfigDir="/host/etc/cni/net.d",
        multusConfigFile="auto",
        socketDir="/host/run/multus/",
    )
    assert (told.conf_dir, told.autoconf_dir) == ("/host/etc/cni/net.d", "/host/etc/cni/net.d")
    assert told.wanted == generate.Wanted(cni_version="0.3.1", keys={"logLevel": "verbose", "logToStderr": True})


def test_one_directory_is_enough() -> None:
    """Without `multusAutoconfigDir` default networks are looked for where the file goes."""
    assert loads(cniConfigDir="/a").autoconf_dir == "/a"


def test_choice() -> None:
    """Which default network, which not, and what about better ones."""
    told = loads(multusMasterCNI="net", excludePrimary=["x*"], primaryPolicy="report", primaryGrace="2m")
    assert (told.rule.wanted, told.rule.excluded, told.policy, told.primary_grace) == ("net", ("x*",), "report", 120.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [("primaryPolicy", "never"), ("excludePrimary", 3), ("capabilities", {"a": 1}), ("overrideNetworkName", 3)],
)
def test_wrong_values(key: str, value: Any) -> None:
    """A value that its key can't have is an error that names both file and key."""
    with pytest.raises(errors.InvalidConfig, match=f"file: {key}"):
        loads(**{key: value})


def test_daemon_knows_every_key() -> None:
    """The daemon, which reads the same file, reports none of the installer's keys as unknown."""
    _, remarks = daemon.loads(json.dumps(dict.fromkeys((*settings.KEYS, *generate.THICK_ORDER))).encode(), "file")
    assert [one for one in remarks if "unknown" in one] == []
