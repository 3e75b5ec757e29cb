"""The tests' API server as a process: the pods and networks of DIRECTORY/manifests over TLS.

It writes DIRECTORY/multus.kubeconfig, prints ``ready`` and serves until its standard input ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.apiserver import ApiServer


def main(directory: Path) -> None:
    """Serve until nobody needs it."""
    with ApiServer() as server:
        for path in sorted((directory / "manifests").glob("*.json")):
            value = json.loads(path.read_text())
            metadata = value["metadata"]
            if value["kind"] == "Pod":
                server.add_pod(metadata["name"], metadata["namespace"], metadata["annotations"])
            else:
                server.add_network(metadata["name"], value["spec"]["config"], metadata["namespace"])
        server.write_kubeconfig(directory)
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
