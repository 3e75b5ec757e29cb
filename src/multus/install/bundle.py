"""The one-shot plugin for nodes that have no Python: a folder with everything it needs, made from the Python we run on.

    <bin>/multus                          a shell script of two lines
    <bin>/multus-python-<digest>/         the folder, never changed once it has this name
        ld.so, so/                        loader and shared libraries, so that the node's own C library does not matter
        bin/python3, lib/python3.N/       interpreter and standard library
        multus, passthru                  the plugins, as on nodes with Python

The shared libraries are those that this process maps once it has imported every extension module: no tool is needed to
find them, which the image has not.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import py_compile
import shutil
import sys
import sysconfig
import warnings
from typing import TYPE_CHECKING

from multus import errors, log
from multus.install import binaries, files

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "multus-python-"

#: Of the standard library: nothing that a plugin imports.
LEFT_OUT = frozenset(
    (
        *("__pycache__", "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo", "pydoc_data", "curses"),
        *("sqlite3", "dbm", "distutils", "site-packages", "dist-packages", "unittest", "venv"),
    )
)

#: Extension modules beginning so want libraries that no node needs.
NOT_IMPORTED = ("_test", "_tkinter", "_curses", "_sqlite", "_dbm", "_gdbm", "readline", "nis", "xx", "_ctypes_test")

#: What the runtime executes: ${0%/*} is the script's own directory. No tool of the node but its shell.
SCRIPT = """\
#!/bin/sh
d="${{0%/*}}/{folder}"; exec "$d/ld.so" --library-path "$d/so" "$d/bin/python3" -IS "$d/{name}" "$@"
"""


def install(source: str, directory: str) -> str:
    """Put folder and scripts into `directory`; the folder's name. Folders of other versions go, but for the one that
    was in use until now: its plugins may still run. Raises errors.IoFailure."""
    return put(dict(_python()), source, directory)


def put(python: dict[str, str], source: str, directory: str) -> str:
    """The same with a Python that need not be this one, nor of this architecture: name in the folder, path here."""
    plugins = {name: os.path.join(source, name) for name in binaries.OF_TYPE["thin"]}
    content = {**python, **plugins}
    folder = PREFIX + _digest(content)
    before = _in_use(directory)
    if not os.path.isdir(os.path.join(directory, folder)):
        _copy(content, directory, folder)
    for name in plugins:
        script = SCRIPT.format(folder=folder, name=name).encode()
        path = os.path.join(directory, name)
        if files.find(path, binaries.LIMIT) != script:
            files.write(path, script, 0o755)
    _sweep(directory, {folder, before})
    return folder


def _python() -> Iterator[tuple[str, str]]:
    """The interpreter and all it needs: name in the folder, path here."""
    library = sysconfig.get_path("stdlib")
    modules = os.path.join(library, "lib-dynload")
    for path in _mapped(modules):
        for name in _names(path):
            yield ("ld.so" if name.startswith("ld-") else f"so/{name}"), path
    yield "bin/python3", os.path.realpath(sys.executable)
    version = os.path.basename(library)
    for here, directories, names in os.walk(library):
        directories[:] = [one for one in directories if one not in LEFT_OUT and not one.startswith("config-3")]
        for name in names:
            if name.endswith((".py", ".so")) and not name.startswith(NOT_IMPORTED):
                path = os.path.join(here, name)
                yield f"lib/{version}/{os.path.relpath(path, library)}", path


def _mapped(modules: str) -> list[str]:
    """The shared libraries of this process, with every extension module imported."""
    for file in os.listdir(modules):
        name = file.partition(".")[0]
        if not name.startswith(NOT_IMPORTED):
            _import(name)
    with open("/proc/self/maps", encoding="utf-8") as maps:
        paths = {line.split(maxsplit=5)[5].strip() for line in maps if line.count(" ") >= 5 and "/" in line}
    others = (path for path in paths if not path.startswith(modules) and "-packages/" not in path)
    return sorted(path for path in others if ".so" in os.path.basename(path) and os.path.exists(path))


def _names(path: str) -> set[str]:
    """What others may call a library: its file is mapped by its full version, and wanted by a link's name."""
    directory = os.path.dirname(path)
    links = (one for one in os.listdir(directory) if ".so." in one)
    return {os.path.basename(path), *(one for one in links if os.path.realpath(os.path.join(directory, one)) == path)}


def _import(name: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    except ImportError as error:
        log.debug("extension module not imported", module=name, error=error)


def _digest(content: dict[str, str]) -> str:
    """Of names and contents."""
    digest = hashlib.sha256()
    for name, path in sorted(content.items()):
        digest.update(f"{name}\0".encode() + hashlib.sha256(files.read(path, binaries.LIMIT)).digest())
    return digest.hexdigest()[:12]


def _copy(content: dict[str, str], directory: str, folder: str) -> None:
    """All or nothing: under another name, then renamed."""
    temporary = os.path.join(directory, f"{files.TEMPORARY}{folder}.{os.getpid()}")
    try:
        for name, path in sorted(content.items()):
            target = os.path.join(temporary, name)
            os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
            shutil.copyfile(path, target)
            os.chmod(target, 0o755 if os.access(path, os.X_OK) or name == "ld.so" else 0o644)
            if name.endswith(".py"):
                compile_module(target, name)
        os.rename(temporary, os.path.join(directory, folder))
    except OSError as error:
        raise errors.IoFailure(f"can't write {directory}/{folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def compile_module(path: str, name: str) -> None:
    """A start would else compile a hundred modules each time. Checked against nothing, for nobody changes them; `name`
    is written into it, since `path` differs from one installation to the next."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    try:
        py_compile.compile(path, dfile=name, doraise=True, invalidation_mode=mode)
    except py_compile.PyCompileError as error:
        log.debug("module not compiled", module=path, error=error)


def _in_use(directory: str) -> str:
    """The folder that the script names now; "" for none."""
    data = files.find(os.path.join(directory, "multus"), binaries.LIMIT) or b""
    start = data.find(PREFIX.encode()) if len(data) < 1000 else -1
    return data[start : start + len(PREFIX) + 12].decode("ascii", "replace") if start >= 0 else ""


def _sweep(directory: str, kept: set[str]) -> None:
    for name in os.listdir(directory):
        if name.startswith((PREFIX, files.TEMPORARY + PREFIX)) and name not in kept:
            shutil.rmtree(os.path.join(directory, name), ignore_errors=True)
