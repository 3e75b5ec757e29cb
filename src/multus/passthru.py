"""`multus-passthru`, a CNI plugin that changes nothing (type ``passthru`` where it is installed under that name).

A conflist needs a plugin that answers for an interface; chains that only act on what is there already (tuning, sbr)
have none. This one stands at their head and makes nothing: ADD prints its prevResult, as the specification asks of
chained plugins, or an empty result when it is first. (Upstream's prints an empty result always.) The auxiliary chain
of Multus is built on it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from multus import errors
from multus.cni import environment, rawjson, results, versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multus.cni.rawjson import Json

#: Results below 0.3.0 have no room for a chain's, as upstream decided.
SUPPORTED = versions.SUPPORTED[versions.SUPPORTED.index("0.3.0") :]

ABOUT = f"CNI passthru plugin, changes nothing\nCNI protocol versions supported: {', '.join(SUPPORTED)}\n"


def main() -> None:
    """The executable's entry: ends with the plugin's exit status."""
    if sys.argv[1:] in (["--version"], ["-version"], ["-v"]):
        from multus import __version__

        print(f"passthru: version:{__version__}")  # noqa: T201
        sys.exit(0)
    if not os.environ.get("CNI_COMMAND"):
        sys.stderr.write(ABOUT)
        sys.exit(0)
    status, output = run(os.environ, sys.stdin.buffer.read())
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()
    sys.exit(status)


def run(environ: Mapping[str, str], stdin: bytes) -> tuple[int, bytes]:
    """Carry out one verb (CNI specification, section 2): the exit status and what to print. Never raises."""
    version = ""
    try:
        request = environment.from_environ(environ)
        conf = rawjson.loads_object(stdin, "configuration on stdin")
        version = _version(conf)
        if request.command == "VERSION":
            return 0, _printed({"cniVersion": version or versions.LATEST, "supportedVersions": list(SUPPORTED)})
        _check(conf, version, request.command)
        if request.command == "ADD":
            return 0, _printed(_result(conf, version))
    except errors.CniError as error:
        return 1, _printed(error.as_object(version or versions.LATEST))
    return 0, b""


def _version(conf: Json) -> str:
    version = conf.get("cniVersion") or ""
    if not isinstance(version, str):
        raise errors.InvalidConfig(f"cniVersion must be a string, not {rawjson.kind(version)}")
    return version


def _check(conf: Json, version: str, command: str) -> None:
    name = conf.get("name") or ""
    if not isinstance(name, str):
        raise errors.InvalidConfig(f"name must be a string, not {rawjson.kind(name)}")
    environment.check_network_name(name)
    if version not in SUPPORTED:
        supported = " ".join(f'"{one}"' for one in SUPPORTED)
        details = f"config is {environment.shown(version)}, plugin supports [{supported}]"
        raise errors.IncompatibleVersion("incompatible CNI versions", details=details)
    if not versions.has_verb(version, command):
        raise errors.IncompatibleVersion(f"config version does not allow {command}")


def _result(conf: Json, version: str) -> Json:
    previous = conf.get("prevResult")
    if previous is None:
        return results.as_version(results.empty(version), version)
    if not isinstance(previous, dict):
        raise errors.DecodeError(f"prevResult must be an object, not {rawjson.kind(previous)}")
    return results.as_version(results.parse(previous, version, "prevResult"), version)


def _printed(value: Json) -> bytes:
    return rawjson.dumps(value, indent=4).encode("ascii") + b"\n"
