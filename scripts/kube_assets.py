"""Build the programs of a Kubernetes node from their Go modules, once, into a cache folder outside the checkout.

    python3 scripts/kube_assets.py [build]   builds what is missing; the last line printed is the folder
    python3 scripts/kube_assets.py path      prints the folder; exit status 1 when something is missing in it

KUBE_ASSETS=DIR names a folder of one's own, laid out the same way: etcd, kube-apiserver, kube-controller-manager,
kube-scheduler, kubelet, kubectl, containerd, containerd-shim-runc-v2, ctr and runc, and the CNI plugins in DIR/cni; for
the chart's tests helm, too. Nothing is built then. What is built and in which version is said by the go.mod files in
tests/cluster/assets; etcd and runc are the system's.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

MODULES = Path(__file__).resolve().parent.parent / "tests/cluster/assets"
#: How often a program is tried: downloads of modules fail for a moment, and what was compiled is not compiled again.
ATTEMPTS = 3
#: Seconds between them.
PAUSE = 10
#: Of the system's packages: nobody builds them here, a link in the folder names them.
FROM_SYSTEM = ("etcd", "runc")
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class Module(NamedTuple):
    """A Go module of `tests/cluster/assets`, named by its folder, and the module whose programs it builds."""

    folder: str
    source: str
    into: str = "."

    @property
    def directory(self) -> Path:
        """Where its go.mod is."""
        return MODULES / self.folder

    @property
    def version(self) -> str:
        """The version that go.mod requires of the source."""
        text = (self.directory / "go.mod").read_text()
        found = re.search(rf"^\s*(?:require )?{re.escape(self.source)} v(\S+)", text, re.MULTILINE)
        if found is None:
            sys.exit(f"kube_assets: {self.directory}/go.mod does not require {self.source}")
        return found[1]

    @property
    def packages(self) -> list[str]:
        """The programs, as go.mod lists them; the API server first, since some tests need nothing else."""
        text = (self.directory / "go.mod").read_text()
        found = re.findall(rf"^(?:tool)?\s+({re.escape(self.source)}/\S+)$", text, re.MULTILINE)
        return sorted(found, key=lambda package: (not package.endswith("/kube-apiserver"), package))


KUBERNETES = Module("kubernetes", "k8s.io/kubernetes")
PLUGINS = Module("plugins", "github.com/containernetworking/plugins", "cni")
CONTAINERD = Module("containerd", "github.com/containerd/containerd/v2")
HELM = Module("helm", "helm.sh/helm/v3")
ALL = (KUBERNETES, PLUGINS, CONTAINERD, HELM)


def folder() -> Path:
    """Where the programs are, or will be when they are built."""
    if own := os.environ.get("KUBE_ASSETS"):
        return Path(own)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    versions = [f"{module.folder}-{module.version}" for module in ALL]
    return caches / "multus-kube-assets" / "_".join([*versions, platform.machine()])


def missing(directory: Path) -> list[str]:
    """The programs that are not in a folder, as paths relative to it."""
    wanted = [module for module in ALL if module is not HELM or not os.environ.get("KUBE_ASSETS")]
    built = [str(Path(module.into, Path(package).name)) for module in wanted for package in module.packages]
    return [name for name in [*FROM_SYSTEM, *built] if not (directory / name).exists()]


def reason_not_to_build() -> str | None:
    """Why nothing can be built on this machine, in one line; None when it can."""
    if os.environ.get("KUBE_ASSETS"):
        absent = missing(folder())
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        return f"KUBE_ASSETS={os.environ['KUBE_ASSETS']} lacks {', '.join(absent[:3])}{more}"
    if shutil.which("go") is None:
        return "no Go to build Kubernetes with, and KUBE_ASSETS does not name a folder with its programs"
    absent = [name for name in FROM_SYSTEM if shutil.which(name, path=SYSTEM_PATH) is None]
    return f"not installed: {', '.join(absent)} (scripts/cluster-setup)" if absent else None


def build() -> Path:
    """Build and link what is missing; returns the folder."""
    directory = folder()
    if not missing(directory):
        return directory
    if reason := reason_not_to_build():
        sys.exit(f"kube_assets: {reason}")
    (directory / "cni").mkdir(parents=True, exist_ok=True)
    for name in FROM_SYSTEM:
        _link(directory / name, str(shutil.which(name, path=SYSTEM_PATH)))
    for module in ALL:
        for package in module.packages:
            target = directory / module.into / Path(package).name
            if not target.exists():
                _compile(module, package, target)
    shutil.rmtree(_objects(), ignore_errors=True)
    return directory


def _objects() -> Path:
    """What the compiler keeps between programs, 3.6 GB of it: only until all are built, and not in Go's own cache."""
    return folder() / ".objects"


def _link(link: Path, target: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _compile(module: Module, package: str, target: Path) -> None:
    """Build one program under another name first: an interrupted build leaves nothing that looks finished."""
    print(f"kube_assets: building {target.name} of {module.source} v{module.version}", flush=True)
    started = time.monotonic()
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        for attempt in range(1, ATTEMPTS + 1):
            if _go_build(module, package, unfinished):
                break
            if attempt == ATTEMPTS:
                sys.exit(f"kube_assets: {package} does not build")
            time.sleep(PAUSE)
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
    size, seconds = target.stat().st_size / 1e6, time.monotonic() - started
    print(f"kube_assets: {target.name}: {size:.1f} MB in {seconds:.0f} s", flush=True)


def _go_build(module: Module, package: str, output: Path) -> bool:
    """Whether it builds; Go has said why not."""
    command = ["go", "build", "-trimpath", "-buildvcs=false", f"-ldflags={_linker_flags(module)}"]
    environment = {"GOCACHE": str(_objects()), **os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run([*command, "-o", str(output), package], cwd=module.directory, env=environment, check=False)
    return done.returncode == 0


def _linker_flags(module: Module) -> str:
    """No debug information; and the version, which a build of the project's own would set."""
    version, (major, minor, *_) = module.version, module.version.split(".")
    names = {
        KUBERNETES: {
            f"k8s.io/{package}/version.{key}": value
            for package in ("component-base", "client-go/pkg")
            for key, value in {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}.items()
        },
        PLUGINS: {f"{PLUGINS.source}/pkg/utils/buildversion.BuildVersion": f"v{version}"},
        CONTAINERD: {f"{CONTAINERD.source}/version.Version": f"v{version}"},
        HELM: {f"{HELM.source}/internal/version.version": f"v{version}"},
    }
    return " ".join(["-s", "-w", *(f"-X={name}={value}" for name, value in names[module].items())])


def main(arguments: list[str]) -> int:
    """`build` (or nothing) or `path`."""
    if arguments in ([], ["build"]):
        print(build())
        return 0
    if arguments == ["path"]:
        print(folder())
        return bool(missing(folder()))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
