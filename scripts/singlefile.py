"""A program in one file, which a Python of the node executes: a zip archive of everything it imports."""

from __future__ import annotations

import re
import sys
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: What it does not carry: the one-shot plugin never imports it.
NOT_ON_NODES = re.compile(r"prometheus_client/|multus/(certificates|ctl|daemon|execproto|install|testing)/")

#: The one moment that all members are of.
EPOCH = (1980, 1, 1, 0, 0, 0)


def archive(lib: Path, module: str) -> bytes:
    """One file that is executable: everything it imports, compiled for the Python that built it and as source for
    others."""
    temporary = lib.parent / "archive.zip"
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as zipped:
        # As in scripts/make_launchers.py: a process of one call collects nothing.
        add(zipped, "__main__.py", f"import gc\n\ngc.disable()\n\nfrom {module} import main\n\nmain()\n".encode())
        for path in sorted(lib.rglob("*.py")):
            name = path.relative_to(lib)
            if NOT_ON_NODES.match(str(name)):
                continue
            compiled = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
            add(zipped, str(name.with_suffix(".pyc")), compiled.read_bytes())
            add(zipped, str(name), path.read_bytes())
    data = temporary.read_bytes()
    temporary.unlink()
    return data


def add(zipped: zipfile.ZipFile, name: str, data: bytes) -> None:
    """One member, the same bytes in every build."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.external_attr = 0o644 << 16
    zipped.writestr(info, data)
