"""What is loaded before a network names a resource."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"

LOOK = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
importlib.import_module(sys.argv[2])
print(sorted(name for name in sys.modules if name.split(".")[0] in ("h2", "hpack", "grpc", "google")))
"""


@pytest.mark.parametrize(
    ("module", "loads"),
    [
        ("multus.thin", False),
        ("multus.daemon.main", False),
        ("multus.devices.sources", False),
        ("multus.devices.podresources", True),
    ],
)
def test_no_library_before_it_is_needed(module: str, loads: bool) -> None:
    """Neither the plugin nor the daemon loads HTTP/2 with itself; what asks the kubelet does."""
    command = [sys.executable, "-c", LOOK, str(SOURCE), module]
    found = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert ("'h2'" in found) == loads
