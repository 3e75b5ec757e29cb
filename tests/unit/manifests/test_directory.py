"""Finding an object among files."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors, log
from multus.manifests import directory, documents
from multus.manifests.directory import Directory, Found, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POD = Kind("v1", "Pod")


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    """A pod's manifest."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}}


def write(path: Path, *objects: dict[str, Any]) -> None:
    """Write a file of JSON documents."""
    path.write_text("\n---\n".join(json.dumps(value) for value in objects))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines logged."""
    found: list[str] = []
    log.configure("debug", [found.append])
    yield found
    log.configure("panic", [])


@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a.yml"])
def test_suffixes(tmp_path: Path, name: str) -> None:
    """The three that count."""
    write(tmp_path / name, pod("web"))
    assert Directory(str(tmp_path)).find(POD, "default", "web").value == pod("web")


@pytest.mark.parametrize("name", ["a.txt", "a.yaml~", ".hidden.yaml", "yaml"])
def test_other_files(tmp_path: Path, name: str) -> None:
    """Editors' leftovers and hidden files do not."""
    write(tmp_path / name, pod("web"))
    assert Directory(str(tmp_path)).find(POD, "default", "web") == Found(None)


def test_what_has_to_match(tmp_path: Path) -> None:
    """Version, kind, namespace (``default`` when there is none) and the whole name."""
    wanted = pod("web", namespace="ns")
    write(
        tmp_path / "a.yaml",
        {**pod("web"), "kind": "Service"},
        {**pod("web"), "apiVersion": "v2"},
        pod("web-1", namespace="ns"),
        pod("web"),
        {"apiVersion": "v1", "kind": "Pod", "metadata": "web"},
        wanted,
    )
    found = Directory(str(tmp_path))
    assert found.find(POD, "ns", "web").value == wanted
    assert found.find(POD, "default", "web").value == pod("web")
    assert found.find(POD, "other", "web").value is None


def test_first_file_by_name_wins(tmp_path: Path) -> None:
    """Two definitions: the order of the names decides."""
    write(tmp_path / "b.yaml", pod("web", uid="b"))
    write(tmp_path / "a.yaml", pod("web", uid="a"))
    assert Directory(str(tmp_path)).find(POD, "default", "web").value == pod("web", uid="a")


def test_broken_file_hides_nothing_else(tmp_path: Path, lines: list[str]) -> None:
    """It is reported by name; the object is found in the next file."""
    (tmp_path / "a.yaml").write_text("name: web\n  x: [")
    write(tmp_path / "b.yaml", pod("web"))
    assert Directory(str(tmp_path)).find(POD, "default", "web").value == pod("web")
    assert f"{tmp_path}/a.yaml" in lines[0]


def test_broken_file_that_may_hold_it(tmp_path: Path) -> None:
    """Found nowhere: the files that may have it are told, those without the name are not."""
    (tmp_path / "a.yaml").write_text("name: web\n  x: [")
    (tmp_path / "b.yaml").write_text("name: other\n  x: [")
    (tmp_path / "c.yaml").write_bytes(b"#" * (directory.SIZE_LIMIT + 1))
    os.symlink("nowhere", tmp_path / "d.yaml")
    found = Directory(str(tmp_path)).find(POD, "default", "web")
    assert found.value is None
    assert [problem.partition(":")[0] for problem in found.broken] == [
        f"{tmp_path}/a.yaml",
        f"{tmp_path}/c.yaml",
        f"{tmp_path}/d.yaml",
    ]


def test_only_files_with_the_name_are_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And each version of a file once."""
    parsed: list[str] = []
    original = documents.objects

    def counting(data: bytes, what: str) -> Any:
        parsed.append(what)
        return original(data, what)

    monkeypatch.setattr(documents, "objects", counting)
    for name in ("web", "db", "cache"):
        write(tmp_path / f"{name}.yaml", pod(name))
    under_test = Directory(str(tmp_path))
    for _ in range(3):
        assert under_test.find(POD, "default", "web").value is not None
        assert under_test.find(POD, "default", "db").value is not None
    assert parsed == [f"{tmp_path}/web.yaml", f"{tmp_path}/db.yaml"]


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    """Files may change while a process runs."""
    write(tmp_path / "a.yaml", pod("web", uid="1"))
    under_test = Directory(str(tmp_path))
    under_test.find(POD, "default", "web")
    write(tmp_path / "next", pod("web", uid="2"), pod("new"))
    os.replace(tmp_path / "next", tmp_path / "a.yaml")
    assert under_test.find(POD, "default", "web").value == pod("web", uid="2")
    assert under_test.find(POD, "default", "new").value == pod("new")


def test_pipe_does_not_block(tmp_path: Path) -> None:
    """Something that is no file is no manifest either."""
    os.mkfifo(tmp_path / "a.yaml")
    write(tmp_path / "b.yaml", pod("web"))
    assert Directory(str(tmp_path)).find(POD, "default", "web").value == pod("web")


def test_subdirectories_are_not_searched(tmp_path: Path) -> None:
    """One directory; a directory with the suffix of a file is reported like a broken one."""
    (tmp_path / "sub.yaml").mkdir()
    write(tmp_path / "sub.yaml" / "a.yaml", pod("web"))
    found = Directory(str(tmp_path)).find(POD, "default", "web")
    assert found == Found(None, (f"{tmp_path}/sub.yaml: Is a directory",))


def test_missing_directory(tmp_path: Path) -> None:
    """The configuration key and the path are named."""
    with pytest.raises(errors.ClusterError, match=f"manifestsDir {tmp_path}/none: No such file or directory"):
        Directory(str(tmp_path / "none")).find(POD, "default", "web")


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is something else is not read through."""
    monkeypatch.setattr(directory, "COUNT_LIMIT", 2)
    for number in range(3):
        write(tmp_path / f"{number}.json", pod("x"))
    with pytest.raises(errors.ClusterError, match="more than 2 manifest files"):
        Directory(str(tmp_path)).find(POD, "default", "web")
