"""A DRA driver as far as a kubelet goes: it registers, and prepares whatever was allocated by doing nothing.

Two sockets, as the kubelet wants them: one where it looks for plugins (`pluginregistration`), one for the driver
(`k8s.io/kubelet/pkg/apis/dra/v1`). What devices there are is said by the ResourceSlices that a test publishes.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from multus.devices import protowire
from support.kubelet import Kubelet, Reply, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Inside the node.
REGISTRY = Path("/var/lib/kubelet/plugins_registry")
DRIVERS = Path("/var/lib/kubelet/plugins")

REGISTRATION = "/pluginregistration.Registration"
SERVICE = "/k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin"


def _each_claim(request: bytes) -> Reply:
    """For each Claim of the request (2 is its UID) an empty entry in the response's map."""
    message = b""
    for _, claim in protowire.members(memoryview(request)):
        uid = next(protowire.text(content) for number, content in protowire.members(claim) if number == 2)
        message += field(1, field(1, uid) + field(2, b""))
    return Reply(0, message=message)


@contextlib.contextmanager
def running(file: Callable[[Path], Path], driver: str) -> Iterator[None]:
    """The driver of that name; `file` makes a path inside the node one of this machine."""
    endpoint, registry = DRIVERS / f"{driver}.sock", file(REGISTRY / f"{driver}-reg.sock")
    registry.parent.mkdir(parents=True, exist_ok=True)
    info = field(1, "DRAPlugin") + field(2, driver) + field(3, str(endpoint)) + field(4, "v1.DRAPlugin")
    with contextlib.ExitStack() as stack:
        prepare: dict[str, Callable[[bytes], Reply]] = {
            f"{SERVICE}/NodePrepareResources": _each_claim,
            f"{SERVICE}/NodeUnprepareResources": _each_claim,
        }
        stack.callback(Kubelet(str(file(endpoint)), methods=prepare).close)
        register: dict[str, Callable[[bytes], Reply]] = {
            f"{REGISTRATION}/GetInfo": lambda _request: Reply(0, message=info),
            f"{REGISTRATION}/NotifyRegistrationStatus": lambda _request: Reply(0),
        }
        stack.callback(Kubelet(str(registry), methods=register).close)
        yield
