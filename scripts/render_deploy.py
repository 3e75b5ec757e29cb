"""Writes the manifests that are applied as one file, from the kustomize overlays: `deploy/multus-daemonset*.yml`.

    .venv/bin/python scripts/render_deploy.py [--check]

The names are upstream's, so that its quick start works word for word. Needs kubectl, the system's or the one of the
cluster tier (scripts/kube_assets.py).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import kube_assets

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"

#: File -> overlay.
FILES = {
    "multus-daemonset.yml": "thick",
    "multus-daemonset-thick.yml": "thick",
    "multus-daemonset-thin.yml": "thin",
    "multus-daemonset-crio.yml": "crio",
}

HEADER = "# Made by scripts/render_deploy.py from overlays/{overlay}: change it there.\n"


def kubectl() -> str | None:
    """Where there is one."""
    return shutil.which("kubectl") or shutil.which("kubectl", path=str(kube_assets.folder()))


def render(overlay: str) -> str:
    """The overlay as one YAML text."""
    command = [kubectl() or sys.exit("render_deploy: needs kubectl"), "kustomize", str(DEPLOY / "overlays" / overlay)]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    return HEADER.format(overlay=overlay) + made.stdout


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` say which are not what they should be."""
    stale = []
    for name, overlay in FILES.items():
        text = render(overlay)
        target = DEPLOY / name
        if not target.exists() or target.read_text() != text:
            stale.append(name)
            if "--check" not in arguments:
                target.write_text(text)
    for name in stale:
        print(f"{name}: {'stale' if '--check' in arguments else 'written'}")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
