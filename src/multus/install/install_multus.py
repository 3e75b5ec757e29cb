"""`install_multus`, with upstream's flags and words: copies the executables of one kind to the node."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from multus import errors
from multus.install import binaries, flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.install.flags import Value

DEFAULTS: dict[str, Value] = {"type": "", "dest-dir": "/host/opt/cni/bin"}
LETTERS = {"t": "type", "d": "dest-dir"}


def main() -> None:
    """The executable's entry. Exit status 1 for help, as upstream, and for failures."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str], source: str = binaries.SOURCE) -> int:
    """The command line; its exit status."""
    try:
        given = flags.parse(arguments, DEFAULTS, LETTERS)
        if given["type"] not in binaries.OF_TYPE:
            raise errors.InvalidConfig("--type is missing or --type has invalid value")
        for name in binaries.OF_TYPE[flags.text(given, "type")]:
            target = os.path.join(flags.text(given, "dest-dir"), name)
            binaries.install(os.path.join(source, name), target)
            said = f"passthru cni {target}" if name == "passthru" else f"multus {name}"
            os.write(1, f"{said} copy succeeded!\n".encode())
    except flags.HelpWanted:
        os.write(2, flags.usage("install_multus", DEFAULTS).encode())
        return 1
    except errors.CniError as error:
        os.write(2, f"install_multus: {error}\n".encode("utf-8", "backslashreplace"))
        return 1
    return 0
