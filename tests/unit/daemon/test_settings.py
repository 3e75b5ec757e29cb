"""`daemon-config.json`: what the daemon is told, what it reports, what it lays over requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.daemon import settings

if TYPE_CHECKING:
    from pathlib import Path


def loads(**keys: Any) -> settings.Settings:
    return settings.loads(json.dumps(keys).encode(), "file")[0]


def remarks(**keys: Any) -> tuple[str, ...]:
    return settings.loads(json.dumps(keys).encode(), "file")[1]


def test_nothing_is_told() -> None:
    """An empty object is a configuration: everything has a default."""
    told, said = settings.loads(b"{}", "file")
    assert told == settings.Settings()
    assert said == ()
    assert told.socket_dir == "/run/multus"


@pytest.mark.parametrize(
    ("key", "value", "field", "found"),
    [
        ("socketDir", "/run/x", "socket_dir", "/run/x"),
        ("socketDir", "", "socket_dir", "/run/multus"),
        ("SOCKETDIR", "/run/x", "socket_dir", "/run/x"),
        ("kubeconfig", "/etc/k", "kubeconfig", "/etc/k"),
        ("nodeName", "n1", "node_name", "n1"),
        ("metricsPort", 9091, "metrics_port", 9091),
        ("metricsPort", "9091", "metrics_port", 9091),
        ("metricsPort", None, "metrics_port", 0),
        ("connectionLimit", 7, "connection_limit", 7),
        ("delegateLimit", 3, "delegate_limit", 3),
        ("handlerLimit", 5, "handler_limit", 5),
        ("gracePeriod", 5, "grace_period", 5.0),
        ("gracePeriod", "1m30s", "grace_period", 90.0),
        ("watchAllPods", True, "watch_all_pods", True),
        ("watchAllPods", "true", "watch_all_pods", True),
        ("runDelegates", True, "run_delegates", True),
        ("logLevel", "debug", "log_level", "debug"),
        ("logToStderr", True, "log_to_stderr", True),
    ],
)
def test_keys(key: str, value: Any, field: str, found: Any) -> None:
    """Keys of the process, whatever their case; null and empty paths leave the default."""
    assert getattr(loads(**{key: value}), field) == found
    assert remarks(**{key: value}) == ()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"metricsPort": "x"}, "metricsPort must be a whole number"),
        ({"metricsPort": -1}, "metricsPort"),
        ({"gracePeriod": 0}, "gracePeriod"),
        ({"gracePeriod": "soon"}, "gracePeriod is not a duration"),
        ({"logToStderr": 1}, "logToStderr must be true or false"),
        ({"socketDir": 5}, "socketDir must be a string"),
        ({"connectionLimit": 0}, "connection limit must be greater than 0, got 0"),
        ({"handlerLimit": 0}, "handlerLimit must be greater than 0"),
        ({"clusterNetwork": 5}, "clusterNetwork"),
        ({"addTimeout": "x"}, "addTimeout is not a duration"),
    ],
)
def test_mistyped(keys: dict[str, Any], words: str) -> None:
    """A value that its key can't have is named, with the file."""
    with pytest.raises(errors.InvalidConfig, match=words) as caught:
        loads(**keys)
    assert "file" in caught.value.message or "Multus" in caught.value.message


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b'{"a": 1} x'])
def test_not_an_object(data: bytes) -> None:
    """A file that is no JSON object is named."""
    with pytest.raises(errors.CniError, match="file"):
        settings.loads(data, "file")


def test_missing_file(tmp_path: Path) -> None:
    """A file that can't be read is named."""
    with pytest.raises(errors.IoFailure, match="No such file"):
        settings.load(str(tmp_path / "none"))


def test_node_name(tmp_path: Path) -> None:
    """The file's name counts, else the environment's."""
    path = tmp_path / "c"
    path.write_text("{}")
    assert settings.load(str(path), "env")[0].node_name == "env"
    path.write_text('{"nodeName": "file"}')
    assert settings.load(str(path), "env")[0].node_name == "file"


def test_remarks() -> None:
    """Unknown keys are reported by name, never fatal; obsolete ones say why; keys of other readers are none."""
    said = remarks(socketdri="/x", chrootDir="/hostroot", multusMasterCNI="a", clusterNetwork="net", cniDir="/c")
    assert len(said) == 2
    assert "unknown key 'socketdri' is ignored" in said
    assert "key chrootDir has no effect: delegates run on the host already" in said


def test_laid_over_a_request() -> None:
    """Multus' own keys go over the request's, whatever their case; everything else of the request stays."""
    told = loads(clusterNetwork="/etc/net", namespaceIsolation=True, socketDir="/run/x", logFile="/var/log/x")
    request = {"name": "multus", "ClusterNetwork": "other", "logFile": "/own", "delegates": [{"type": "a"}], "odd": 1}
    assert settings.laid_over(request, told) == {
        "name": "multus",
        "logFile": "/own",
        "delegates": [{"type": "a"}],
        "odd": 1,
        "clusterNetwork": "/etc/net",
        "namespaceIsolation": True,
    }


@pytest.mark.parametrize("key", settings.OF_THE_REQUEST)
def test_never_laid_over(key: str) -> None:
    """What a request is about is its own."""
    raw: dict[str, Any] = {key: [] if key == "cni.dev/valid-attachments" else "0.4.0"}
    try:
        told = loads(**raw)
    except errors.InvalidConfig:
        return  # not even a value that such a key can have
    assert settings.laid_over({"name": "mine"}, told) == {"name": "mine"}


def test_nothing_to_lay_over() -> None:
    """Without own keys a request is left as it is."""
    request = {"name": "multus"}
    assert settings.laid_over(request, loads(socketDir="/run/x")) is request


@pytest.mark.parametrize(("told", "least"), [(0, 8), (1, 1), (100, 100)])
def test_delegate_limit(told: int, least: int) -> None:
    """What is set; else it follows the processors, and is never tiny."""
    found = settings.delegate_limit(settings.Settings(delegate_limit=told))
    assert found == told if told else found >= least


def test_budgets_that_contradict_each_other() -> None:
    """What no request could do anything about is said at start."""
    with pytest.raises(errors.InvalidConfig, match=r"rollbackReserve \(30 s\) must be shorter than addTimeout"):
        settings.loads(b'{"addTimeout": 20}', "daemon configuration x")
