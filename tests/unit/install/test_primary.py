"""The choice of the default network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.install import primary
from multus.install.primary import Rule

if TYPE_CHECKING:
    from pathlib import Path


def put(directory: Path, file: str, **keys: Any) -> None:
    raw = {"cniVersion": "1.0.0", "name": file.split(".")[0], "type": "bridge", **keys}
    (directory / file).write_text(json.dumps(raw))


def choose(directory: Path, rule: Rule | None = None) -> primary.Choice:
    return primary.choose(primary.look(str(directory)), rule or Rule(), str(directory))


def chosen(directory: Path, rule: Rule | None = None) -> str:
    found = choose(directory, rule).chosen
    return found.file if found else ""


def test_first_by_name(tmp_path: Path) -> None:
    """As the runtime would choose: the first by name, of .conf, .conflist and .json alone."""
    put(tmp_path, "20-b.conf")
    put(tmp_path, "10-a.json")
    put(tmp_path, "05-old.conf.bak")
    assert chosen(tmp_path) == "10-a.json"


@pytest.mark.parametrize(
    "keys",
    [
        {"type": "multus"},
        {"type": "multus-shim"},
        {"type": "multus-cni"},
        {"type": "renamed", "clusterNetwork": "x"},
        {"type": "renamed", "delegates": [{"type": "bridge"}]},
        {"type": "copied"},
        {"type": "", "plugins": [{"type": "tuning"}, {"type": "multus"}]},
    ],
)
def test_never_multus_itself(tmp_path: Path, keys: dict[str, Any]) -> None:
    """Multus is told by its types, by its keys and by executables that are ours, alone or in a chain; even when it is
    named."""
    put(tmp_path, "10-a.conflist", **keys)
    rule = Rule(own_types=frozenset({"copied"}))
    result = choose(tmp_path, rule)
    assert result.chosen is None
    assert "10-a.conflist: its plugin" in result.passed_over[0]
    assert choose(tmp_path, rule._replace(wanted="10-a.conflist")).chosen is None


def test_never_our_own_file(tmp_path: Path) -> None:
    """A file of ours is none, whatever is in it; by its bare name neither."""
    put(tmp_path, "00-multus.conf")
    assert not chosen(tmp_path)
    assert not chosen(tmp_path, Rule(wanted="00-multus.conf"))


def test_flannels_delegate_is_not_ours(tmp_path: Path) -> None:
    """Flannel's `delegate` object does not make it Multus."""
    put(tmp_path, "10-flannel.conf", type="flannel", delegate={"isDefaultGateway": True})
    assert chosen(tmp_path) == "10-flannel.conf"


def test_excluded(tmp_path: Path) -> None:
    """A file that a rule excludes is passed over and named; podman's is by default."""
    put(tmp_path, "05-podman-bridge.conf")
    put(tmp_path, "10-a.conf")
    result = choose(tmp_path)
    assert result.passed_over == ("05-podman-bridge.conf: excluded by '*podman*'",)
    assert not chosen(tmp_path, Rule(excluded=("*.conf",)))


def test_loopback_alone_is_none(tmp_path: Path) -> None:
    """The loopback interface is nobody's default network."""
    put(tmp_path, "00-loopback.conf", type="loopback")
    put(tmp_path, "10-a.conf")
    assert chosen(tmp_path) == "10-a.conf"


def test_damaged_files_are_passed_over(tmp_path: Path) -> None:
    """Half a file, a directory and a network without a name are no candidates, and it is told why."""
    (tmp_path / "10-half.conf").write_text('{"name":')
    (tmp_path / "20-dir.conf").mkdir()
    put(tmp_path, "30-nameless.conf", name="")
    put(tmp_path, "40-good.conf")
    result = choose(tmp_path)
    assert result.chosen is not None
    assert result.chosen.file == "40-good.conf"
    assert [said.split(":")[0] for said in result.passed_over] == ["10-half.conf", "20-dir.conf", "30-nameless.conf"]


def test_by_file_and_by_network(tmp_path: Path) -> None:
    """A file's name, its path, or a network's name; a file's name counts first."""
    put(tmp_path, "10-a.conf")
    put(tmp_path, "20-b.conf", name="b-net")
    put(tmp_path, "30-c.conf", name="20-b.conf")
    assert chosen(tmp_path, Rule(wanted="20-b.conf")) == "20-b.conf"
    assert chosen(tmp_path, Rule(wanted=str(tmp_path / "20-b.conf"))) == "20-b.conf"
    assert chosen(tmp_path, Rule(wanted="b-net")) == "20-b.conf"


def test_named_but_missing(tmp_path: Path) -> None:
    """What is named is waited for; nothing else is taken in its place."""
    put(tmp_path, "10-a.conf")
    result = choose(tmp_path, Rule(wanted="20-b.conf"))
    assert result.chosen is None
    assert "'20-b.conf' is neither a file" in result.why


def test_plugins_in_a_directory_of_their_own(tmp_path: Path) -> None:
    """A list without plugins in it may have them in its own directory."""
    (tmp_path / "10-a.conflist").write_text('{"cniVersion": "1.1.0", "name": "a", "plugins": []}')
    assert chosen(tmp_path) == "10-a.conflist"


def test_unreadable_directory(tmp_path: Path) -> None:
    """A directory that is not there is an error that names it."""
    with pytest.raises(errors.IoFailure, match="nowhere"):
        primary.look(str(tmp_path / "nowhere"))
