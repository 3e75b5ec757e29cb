"""Another release takes the place of the one in use while pods come and go, and goes again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.node import following, plugins
from support.node.churn import Churn

if TYPE_CHECKING:
    from support.node.cluster import Cluster
    from support.node.plugins import Plugin, Release
    from support.node.pods import Namespace

pytestmark = pytest.mark.cluster


@pytest.fixture
def newer(cluster: Cluster, tmp_path: Path) -> Release:
    """The next release, on the node but not in use."""
    return following.release(cluster, Path("/opt/multus-following"), tmp_path)


def test_upgrade_and_rollback(newer: Release, namespace: Namespace, plugin: Plugin) -> None:
    """The next release and back while all pods are being replaced: each pod has its networks, and no ADD fails."""
    churn = Churn(namespace)
    for replace in [*plugin.steps(newer), *plugin.steps(plugins.PRESENT)]:
        churn.roll()
        replace(namespace.cluster)
    churn.settle()
    assert churn.failures() == []
