"""What the demo needs of the machine, asked before anything is made; what is missing is one clear line."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from multus import errors
from multus.ctl.demo import topology

#: Where distributions and upstream put the reference plugins.
PLUGIN_DIRECTORIES = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")


class Programs(NamedTuple):
    """The plugin under demonstration, and the directory of the plugins it delegates to."""

    multus: str
    plugins: str


def check_root() -> None:
    """Raises errors.Unavailable for anybody but root."""
    if os.geteuid() != 0:
        raise errors.Unavailable("the demo makes network namespaces and must be run as root (sudo make demo)")


def check(multus: str, plugins: str) -> Programs:
    """Find everything; `multus` and `plugins` may be "" for the usual places. Raises errors.Unavailable."""
    for command, package in (("ip", "iproute2"), ("ping", "iputils-ping")):
        if shutil.which(command) is None:
            raise errors.Unavailable(f"no command `{command}` in PATH: install {package}, or run `make setup`")
    return Programs(find_multus(multus), find_plugins(plugins))


def find_multus(wanted: str) -> str:
    """The executable: `wanted`, else the one beside this program or beside its interpreter, else in PATH."""
    beside = [str(Path(program).parent / "multus") for program in (sys.argv[0], sys.executable)]
    candidates = [wanted] if wanted else [*beside, shutil.which("multus") or ""]
    for candidate in candidates:
        if candidate and os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return os.path.abspath(candidate)
    where = wanted or f"{beside[0]} nor in PATH"
    raise errors.Unavailable(f"no executable multus at {where}: run `make setup`, or name it with --multus")


def find_plugins(wanted: str) -> str:
    """The first directory with all plugins of `topology.PLUGINS`: `wanted`, else the usual ones and CNI_PATH."""
    directories = [wanted] if wanted else [*os.environ.get("CNI_PATH", "").split(":"), *PLUGIN_DIRECTORIES]
    complaints = []
    for directory in filter(None, directories):
        missing = [name for name in topology.PLUGINS if not os.access(os.path.join(directory, name), os.X_OK)]
        if not missing:
            return os.path.abspath(directory)
        complaints.append(f"{directory} (without {', '.join(missing)})")
    raise errors.Unavailable(
        f"the CNI plugins {', '.join(topology.PLUGINS)} are not in {'; '.join(complaints)}: "
        "install containernetworking-plugins, or run `make setup`"
    )
