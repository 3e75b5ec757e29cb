"""The demo's data and the example files agree, and Multus understands all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from multus.cni import rawjson
from multus.ctl.demo import topology
from multus.networks import nad, netconf, selection

EXAMPLES = Path(__file__).parents[3] / "examples"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((topology.files() / name).read_text()))


def asked(pod: dict[str, Any]) -> tuple[selection.Selection, ...]:
    return selection.parse(pod["metadata"]["annotations"][selection.NETWORKS], "default")


def test_pods_of_the_manifests() -> None:
    """Every pod of the story has a manifest."""
    assert [pod["metadata"]["name"] for pod in documents("pods.yaml")] == [pod.name for pod in topology.PODS]


def test_interfaces_of_the_manifests() -> None:
    """The interfaces the story expects are those the annotations ask for."""
    for pod, expected in zip(documents("pods.yaml"), topology.PODS, strict=True):
        names = [one.interface or f"net{number}" for number, one in enumerate(asked(pod), 1)]
        assert ("eth0", *names) == expected.interfaces


def test_networks_are_usable() -> None:
    """Each NAD that a pod names exists, and Multus can read its configuration."""
    known = {}
    for one in documents("networks.yaml"):
        name = one["metadata"]["name"]
        known[name] = nad.config_of(nad.Nad("default", name, one["spec"]["config"]))
    for pod in documents("pods.yaml"):
        for element in asked(pod):
            assert known[element.name] is not None


def test_all_plugins_are_required() -> None:
    """The demo asks beforehand for every plugin that its networks use."""
    texts = [one["spec"]["config"] for one in documents("networks.yaml")]
    used = {kind for text in texts for kind in plugin_types(json.loads(text))}
    assert used == set(topology.PLUGINS)


def plugin_types(conf: dict[str, Any]) -> list[str]:
    if "plugins" in conf:
        return [kind for one in conf["plugins"] for kind in plugin_types(one)]
    return [conf["type"], *([conf["ipam"]["type"]] if "ipam" in conf else [])]


def test_everything_stays_in_the_state_directory() -> None:
    """No file of the demo says to write elsewhere: what is not there would be left behind."""
    text = "".join((topology.files() / name).read_text() for name in ("networks.yaml", "multus.json"))
    directories = [
        line for line in text.splitlines() if "Dir" in line and "binDir" not in line and "confDir" not in line
    ]
    assert directories
    assert all(str(topology.STATE) in line for line in directories)


def test_configuration() -> None:
    """The demo's configuration is Multus' own, with the directory of plugins that was found."""
    conf = topology.configuration("/opt/cni/bin")
    loaded = netconf.loads(rawjson.encode(conf))
    assert loaded.bin_dir == "/opt/cni/bin"
    assert loaded.manifests_dir == f"{topology.STATE}/manifests"


@pytest.mark.parametrize("name", ["00-multus.conf", "10-multus-manifests.conf"])
def test_thin_examples(name: str) -> None:
    """The examples of Multus' configuration are accepted, and every key in them is one that Multus knows."""
    text = (EXAMPLES / "thin" / name).read_bytes()
    loaded = netconf.loads(text)
    assert loaded.delegates or loaded.cluster_network
    reference = (EXAMPLES.parent / "docs" / "configuration.md").read_text()
    assert all(f"`{key}`" in reference for key in json.loads(text))
