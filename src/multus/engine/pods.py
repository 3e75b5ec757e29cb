"""Which pod the call is about, by the UID rules.

The runtime names the pod in CNI_ARGS. A pod of the same name but another UID is a different pod (a StatefulSet's
successor, say): ADD must not attach its networks to this sandbox. Static pods are exempt: their UID in the API is
the mirror pod's, not the one the kubelet gave to the runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors, log

if TYPE_CHECKING:
    from multus.engine.call import Call, Ports
    from multus.ports import Pod

#: DEL asks for the pod only to resolve networks it has no record of; it never waits long for that.
DELETE_PATIENCE = 2.5


class Gone(Exception):
    """The pod of this ADD no longer exists: nothing is attached, and the runtime will delete the sandbox."""


def for_add(call: Call, ports: Ports) -> Pod | None:
    """The pod; None where no pod is involved (no API server configured, or CNI_ARGS names none).

    Raises `Gone`, errors.TryAgainLater when the API's pod has another UID, errors.ClusterError, errors.Denied."""
    if ports.cluster is None or not call.pod.name:
        return None
    patience = call.deadline - call.conf.rollback_reserve
    pod = ports.cluster.pod(call.pod.namespace, call.pod.name, call.pod.uid, patience)
    if pod is None:
        raise Gone
    if not _is_meant(call, pod):
        raise errors.TryAgainLater(f'expected pod UID "{call.pod.uid}" but got "{pod.uid}" from Kube API')
    return pod


def for_delete(call: Call, ports: Ports) -> Pod | None:
    """The live pod if it is surely this call's (same UID, or static); None in every other case, errors included."""
    if ports.cluster is None or not call.pod.name:
        return None
    patience = min(ports.clock.monotonic() + DELETE_PATIENCE, call.deadline)
    try:
        pod = ports.cluster.pod(call.pod.namespace, call.pod.name, call.pod.uid, patience)
    except errors.CniError as error:
        log.warning("pod lookup failed, deleting without it", pod=call.pod_id, error=error)
        return None
    surely = pod is not None and bool(call.pod.uid or pod.static) and _is_meant(call, pod)
    return pod if surely else None


def _is_meant(call: Call, pod: Pod) -> bool:
    return pod.static or not call.pod.uid or not pod.uid or pod.uid == call.pod.uid
