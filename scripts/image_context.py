"""What goes into the image, and onto nodes of the one-shot plugin: `build/image`.

    .venv/bin/python scripts/image_context.py [--certificates] [--only ARCHITECTURE] [DIRECTORY]

    root/usr/src/multus-cni/lib/    this package and its dependencies, pure Python, compiled
    root/usr/src/multus-cni/bin/    executables under upstream's names; `multus` and `passthru` are single files (zip
                                    archives that a Python of the node executes), for they are copied to nodes
    root/usr/src/multus-cni/sbom.json, licenses/
    root/NAME                       links to executables that upstream's image has there
    shim/ARCHITECTURE/multus-shim   what differs between architectures
    native/ARCHITECTURE/            with --certificates what per-node certificates need, else nothing

It depends on nothing but the source and the locked dependencies: the same source makes the same bytes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import py_compile
import re
import shutil
import subprocess
import sys
from pathlib import Path

import bill
import singlefile

ROOT = Path(__file__).resolve().parents[1]
HOME = "usr/src/multus-cni"

#: Not in the image: rich draws tables for people, and no container has one before it.
LEFT_OUT = ("rich",)

#: Executable -> the module whose `main` it calls.
LAUNCHERS = {
    "multus-daemon": "multus.daemon.main",
    "multus-install": "multus.install.main",
    "multus-probe": "multus.install.probe",
    "multusctl": "multus.ctl.main",
    "install_multus": "multus.install.install_multus",
    "thin_entrypoint": "multus.install.thin_entrypoint",
    "kubeconfig_generator": "multus.install.kubeconfig_generator",
    "cert-approver": "multus.install.cert_approver",
}

#: For manifests that were written for upstream's image.
AT_THE_ROOT = ("thin_entrypoint", "install_multus", "kubeconfig_generator", "cert-approver")

#: Executable that is copied to nodes -> the same.
ARCHIVES = {"multus": "multus.thin", "passthru": "multus.passthru"}

#: Architecture -> the platform for which wheels are fetched; others have no per-node certificates.
PLATFORMS = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}

#: What those wheels are.
NATIVE = ("cffi", "cryptography", "pycparser")

#: Of the base image; one of the wheels is for a single minor version.
PYTHON = "3.11"

#: `-I` and `-S` as in scripts/make_launchers.py.
SHEBANG = "#!/usr/bin/python3 -IS\n"


def main(arguments: list[str]) -> int:
    """Write everything anew."""
    parser = argparse.ArgumentParser(description="What goes into the image.")
    parser.add_argument("--certificates", action="store_true", help="with what per-node certificates need")
    parser.add_argument("--only", metavar="ARCHITECTURE", help="this architecture alone")
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "build" / "image")
    given = parser.parse_args(arguments)
    target, certificates = given.directory, given.certificates
    shutil.rmtree(target, ignore_errors=True)
    home = target / "root" / HOME
    (home / "bin").mkdir(parents=True)
    shipped = dependencies("multus-cni")
    native = [importlib.metadata.distribution(name) for name in NATIVE] if certificates else []
    write_library(home / "lib", shipped)
    write_licenses(home / "licenses", shipped + native)
    for name, module in LAUNCHERS.items():
        write(home / "bin" / name, launcher(module).encode())
    for name, module in ARCHIVES.items():
        write(home / "bin" / name, SHEBANG.encode() + singlefile.archive(home / "lib", module))
    for name in AT_THE_ROOT:
        (target / "root" / name).symlink_to(f"/{HOME}/bin/{name}")
    (home / "sbom.json").write_text(bill.render(bill.of_python(shipped + native)))
    build_shims(target / "shim", given.only)
    for directory in sorted((target / "shim").iterdir()):
        (target / "native" / directory.name).mkdir(parents=True)
        if certificates and directory.name in PLATFORMS:
            fetch_native(target / "native" / directory.name, PLATFORMS[directory.name])
    return 0


def dependencies(project: str) -> list[importlib.metadata.Distribution]:
    """What the project needs at run time, needs of needs included, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    wanted = [project]
    while wanted:
        for line in importlib.metadata.distribution(wanted.pop()).requires or ():
            name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
            if name not in (*found, *LEFT_OUT) and "extra ==" not in line:
                found[name] = importlib.metadata.distribution(name)
                wanted.append(name)
    return [found[name] for name in sorted(found)]


def write_library(lib: Path, shipped: list[importlib.metadata.Distribution]) -> None:
    """Python files alone; where a dependency has a compiled part, it works without."""
    sources = {path.relative_to(ROOT / "src"): path for path in (ROOT / "src" / "multus").rglob("*.py")}
    for distribution in shipped:
        for file in distribution.files or ():
            if file.suffix == ".py" and ".." not in file.parts:
                sources[Path(str(file))] = Path(str(distribution.locate_file(file)))
    for name in sorted(sources):
        if name.parts[:3] == ("multus", "ctl", "demo"):
            continue
        (lib / name).parent.mkdir(parents=True, exist_ok=True)
        (lib / name).write_bytes(sources[name].read_bytes())
        compile_module(lib / name, name)


def compile_module(path: Path, name: Path) -> None:
    """Checked against nothing: nobody changes them, and a time of change would differ with each build."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(path), dfile=f"/{HOME}/lib/{name}", doraise=True, invalidation_mode=mode)


def write_licenses(directory: Path, shipped: list[importlib.metadata.Distribution]) -> None:
    """Ours and those of the dependencies."""
    directory.mkdir()
    shutil.copyfile(ROOT / "LICENSE", directory / "LICENSE")
    for distribution in shipped:
        for file in distribution.files or ():
            if file.parent.name == "licenses" or file.name.startswith("LICENSE"):
                target = directory / distribution.metadata["Name"].lower() / file.name
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(Path(str(distribution.locate_file(file))).read_bytes())


def fetch_native(target: Path, platform: str) -> None:
    """The locked wheels of the dependency group "certificates" and what they need, checked by their hashes."""
    uv = str(Path(sys.executable).parent / "uv")
    export = [uv, "export", "--quiet", "--locked", "--no-emit-project", "--only-group", "certificates"]
    wanted = target / "requirements.txt"
    wanted.write_text(subprocess.run(export, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    install = [uv, "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "--no-deps"]
    where = ["--target", str(target), "--python-platform", platform, "--python-version", PYTHON]
    subprocess.run([*install, *where, "-r", str(wanted)], check=True)
    wanted.unlink()
    (target / ".lock").unlink(missing_ok=True)
    shutil.rmtree(target / "bin", ignore_errors=True)
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == PYTHON:
        for path in sorted(target.rglob("*.py")):
            compile_module(path, path.relative_to(target))


def launcher(module: str) -> str:
    """The text of an executable of the image."""
    return f'{SHEBANG}import sys\n\nsys.path.append("/{HOME}/lib")\n\nfrom {module} import main\n\nmain()\n'


def write(target: Path, data: bytes) -> None:
    """An executable."""
    target.write_bytes(data)
    target.chmod(0o755)


def build_shims(target: Path, only: str | None) -> None:
    """For every architecture, or for one, where the ziglang package is there, else for this machine's."""
    build = [sys.executable, str(ROOT / "scripts" / "build_shim.py")]
    if importlib.util.find_spec("ziglang") is not None:
        subprocess.run([*build, "--all", *(["--only", only] if only else []), str(target)], check=True)
        return
    import platform

    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    subprocess.run([*build, str(target / machine / "multus-shim")], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
