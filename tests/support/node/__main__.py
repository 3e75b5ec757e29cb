"""A cluster to play with.

python -m support.node up     starts one and prints how to use it
python -m support.node down   removes every cluster that was started here, and what interrupted tests left
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import kube_assets
from support.node import machine, plugins
from support.node.cluster import PREFIX, Cluster
from support.node.layout import Layout

READY = """\
The node is ready, with Multus and the default network. On this machine:

    export KUBECONFIG={kubeconfig}
    {kubectl} get nodes

Images: multus.test/busybox:1, with imagePullPolicy: Never. A shell on the node:

    nsenter -t {pid} -m -n -p -u -C
"""


def up() -> int:
    """Start a cluster that outlives this process."""
    if missing := kube_assets.missing(kube_assets.folder()):
        print(
            f"cluster: {kube_assets.reason_not_to_build() or 'not built yet: ' + ', '.join(missing)}", file=sys.stderr
        )
        return 1
    if os.geteuid() != 0:
        print("cluster: needs root", file=sys.stderr)
        return 1
    made = Cluster(kube_assets.folder(), leash=False)
    try:
        made.install()
        made.start()
        plugins.prepare(made)
        made.wait_for_node()
        plugins.Thin().install(made)
    except BaseException:
        made.close()
        raise
    made.api.close()
    kubectl = kube_assets.folder() / "kubectl"
    print(READY.format(kubeconfig=made.layout.kubeconfig, kubectl=kubectl, pid=made.machine.pid))
    # The node's programs are nobody's children from here on; Python would complain that they still run.
    sys.stdout.flush()
    os._exit(0)


def down() -> int:
    """Remove all clusters but those that a running test holds."""
    for directory in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        layout = Layout(directory)
        if machine.is_held(layout):
            print(f"cluster: {directory} belongs to tests that are running")
            continue
        machine.remove(layout)
        print(f"cluster: {directory} removed")
    return 0


def main(arguments: list[str]) -> int:
    """`up` or `down`."""
    commands = {"up": up, "down": down}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    return commands[arguments[0]]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
