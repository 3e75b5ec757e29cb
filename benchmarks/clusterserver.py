"""The tests' API server as a process: writes DIRECTORY/multus.kubeconfig, then answers lines of JSON on its stdin.

Each line is ``[what, given]``; each answer is one line, too. Ends when its standard input does.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.apiserver import ApiServer

NODE = "bench-node"


def main(directory: Path) -> None:
    """Serve until nobody needs it."""
    with ApiServer() as server:
        say(server.write_kubeconfig(directory))
        for line in sys.stdin:
            what, given = json.loads(line)
            say(answer(server, what, given))


def say(value: Any) -> None:
    """One line of answer."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def answer(server: ApiServer, what: str, given: Any) -> Any:
    """Do or tell what is asked."""
    if what == "pods":
        made = {name: server.add_pod(name, annotations=annotations, node=NODE) for name, annotations in given.items()}
        return {name: pod["metadata"]["uid"] for name, pod in made.items()}
    if what == "networks":
        for name, config in given.items():
            server.add_network(name, config)
        return None
    if what == "events":
        return len(server.events)
    with server.lock:
        return Counter(described(method, path) for method, path in server.requests)


def described(method: str, path: str) -> str:
    """A request as kube-apiserver's metrics name it, e.g. ``LIST pods``."""
    where, _, query = path.partition("?")
    parts = where.removeprefix("/apis/k8s.cni.cncf.io/v1/").removeprefix("/api/v1/").split("/")
    if parts[0] == "namespaces":
        parts = parts[2:]
    verb = method
    if method == "GET" and len(parts) == 1:
        verb = "WATCH" if "watch=1" in query else "LIST"
    return f"{verb} {parts[0]}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
