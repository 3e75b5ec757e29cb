"""Which settings and which transport are chosen."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.kubernetes import connect, direct, pooled, shared
from multus.kubernetes.access import Endpoint, Identity

if TYPE_CHECKING:
    from pathlib import Path

IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
PLAIN = Endpoint("10.0.0.1", 6443, "test", tls=False)


def config(directory: Path) -> str:
    """A kubeconfig of a server without TLS."""
    path = directory / "config"
    path.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c"}}],
            }
        )
    )
    return str(path)


def test_neither_kubeconfig_nor_pod() -> None:
    """There is no cluster then."""
    assert connect.cluster("", {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, long_running=False) is None


def test_in_cluster() -> None:
    """In a pod the service account is used."""
    assert connect.cluster("", IN_CLUSTER, long_running=False) is not None


def test_kubeconfig_wins(tmp_path: Path) -> None:
    """A kubeconfig that is named is meant, in a pod too: its faults are not papered over."""
    with pytest.raises(errors.IoFailure, match="kubeconfig"):
        connect.cluster(str(tmp_path / "none"), IN_CLUSTER, long_running=False)


@pytest.mark.parametrize(
    ("environ", "long_running", "kind"),
    [
        ({}, False, direct.DirectTransport),
        ({}, True, shared.SharedTransport),
        ({"http_proxy": "http://p:1"}, False, pooled.PooledTransport),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, False, direct.DirectTransport),
    ],
)
def test_transport(environ: dict[str, str], long_running: bool, kind: type) -> None:
    """Direct for one-shot processes, shared for those that stay, pooled where a proxy is in between."""
    assert type(connect._transport(PLAIN, Identity(), environ, long_running)) is kind


def test_proxy_of_an_unknown_kind() -> None:
    """Refused by name, its password kept back."""
    endpoint = PLAIN._replace(proxy="socks5://me:secret@p:1")
    with pytest.raises(errors.InvalidConfig, match="proxy socks5://p:1: only http and https") as caught:
        connect._transport(endpoint, Identity(), {}, long_running=False)
    assert "secret" not in str(caught.value)


#: Each of these costs milliseconds, some of them fifty.
HEAVY = ("dataclasses", "logging", "subprocess", "argparse", "ipaddress", "http.client", "urllib3", "msgspec", "yaml")


def test_one_shot_process_imports_little(tmp_path: Path) -> None:
    """Start-up time is a feature: neither urllib3 nor a YAML parser nor other slow modules, `socket` when used."""
    code = f"""
import sys, time
sys.path[:0] = {[entry for entry in sys.path if entry.endswith("src")]!r}
from multus import errors
from multus.kubernetes import connect
made = connect.cluster({config(tmp_path)!r}, {{}}, long_running=False)
assert "socket" not in sys.modules
try:
    made.pod("ns", "web", "", time.monotonic() + 0.01)
except errors.ClusterError:
    pass
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    output = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout == "[]\n"
