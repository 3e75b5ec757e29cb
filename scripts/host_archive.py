"""The self-contained archive for hosts of one architecture: they need a shell and a kernel, no Python.

README.md, LICENSE, sbom.json, licenses/    whose it is
cni/         for the runtime's directory of plugins: multus-shim, multus, passthru and the Python of these
bin/, lib/   the node daemon and the installer, by the same Python
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import bill
import debian_base
import image_context
import tarball
from multus.install import bundle

if TYPE_CHECKING:
    from debian_base import Base

ROOT = Path(__file__).resolve().parents[1]

#: Of the image's executables, those that run on a host and need nothing compiled.
EXECUTABLES = ("multus-daemon", "multus-install", "multus-probe", "thin_entrypoint")

SCRIPT = """\
#!/bin/sh
h="${{0%/*}}/.."; p="$h/cni/{folder}"
exec "$p/ld.so" --library-path "$p/so" "$p/bin/python3" -IS "$h/lib/run.py" {module} "$@"
"""

RUN = """\
import importlib
import os
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
importlib.import_module(sys.argv.pop(1)).main()
"""


def make(architecture: str, context: Path, base_root: Path, target: Path, moment: int) -> None:
    """Write the archive `target`, from what `image_context` made and a base in place of `base_root`."""
    base = debian_base.make(architecture, base_root)
    tree = base_root.with_name(f"host-{architecture}")
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "cni").mkdir(parents=True)
    home = context / "root" / image_context.HOME
    shutil.copy(context / "shim" / architecture / "multus-shim", tree / "cni")
    folder = bundle.put(python(base, base_root), str(home / "bin"), str(tree / "cni"))
    write_programs(tree, home, folder)
    shutil.copytree(home / "licenses", tree / "licenses")
    for path in (path for path in base.files if path.startswith(debian_base.DOC + "/")):
        shutil.copy(base_root / path, tree / "licenses" / Path(path).parent.name)
    dependencies = image_context.dependencies("multus-cni")
    (tree / "sbom.json").write_text(bill.render(bill.of_python(dependencies) + bill.of_debian(base.packages)))
    shutil.copy(ROOT / "LICENSE", tree)
    (tree / "README.md").write_text((ROOT / "images/host-README.md").read_text())
    tarball.write(target, tarball.below(tree, target.name.removesuffix(".tar.gz")), moment)
    shutil.rmtree(tree)


def python(base: Base, root: Path) -> dict[str, str]:
    """As `bundle.put` wants it: name in the folder, path here."""
    found = {"ld.so": base.loader, "bin/python3": "usr/bin/python3"}
    found |= {f"so/{os.path.basename(path)}": path for path in base.libraries}
    found |= {path.removeprefix("usr/"): path for path in base.files if path.startswith(debian_base.LIBRARY + "/")}
    return {name: str(root / path) for name, path in found.items()}


def write_programs(tree: Path, home: Path, folder: str) -> None:
    """The package, and a script for each of its executables."""
    shutil.copytree(home / "lib", tree / "lib")
    (tree / "lib/run.py").write_text(RUN)
    (tree / "bin").mkdir()
    for name in EXECUTABLES:
        text = SCRIPT.format(folder=folder, module=image_context.LAUNCHERS[name])
        image_context.write(tree / "bin" / name, text.encode())
