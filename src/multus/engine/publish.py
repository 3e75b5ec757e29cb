"""Tell the API what was attached: the network-status annotation and events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors, log
from multus.networks import selection, status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multus.cni.rawjson import Json
    from multus.cni.results import Result
    from multus.engine.call import Call, Ports
    from multus.networks.plan import Plan
    from multus.ports import Cluster, Pod

#: `statusPolicy: background` tries this often, waiting 1, 2, 4, ... seconds in between.
BACKGROUND_TRIES = 6

#: How long a pod that asked for no network waits for its status, in seconds.
PLAIN_PATIENCE = 2.0


def network_status(
    call: Call,
    ports: Ports,
    pod: Pod | None,
    plan: Plan,
    results: Sequence[Result],
    device_infos: Mapping[int, Json] | None = None,
) -> None:
    """Write the annotation; with `statusPolicy: background` after the answer. A pod that is gone is no failure: its
    DEL is on the way; nor is, for a pod that asked for nothing, an API server that is away: its status follows. Raises
    errors.TryAgainLater when it could not be written within `statusTimeout`."""
    if pod is None or ports.cluster is None:
        return
    cluster = ports.cluster
    text = status.render(status.entries(list(zip(plan.attachments, results, strict=True)), device_infos))
    if call.conf.status_policy == "background" or not _is_written(call, ports, cluster, pod, text):
        ports.later(lambda: _in_background(call, ports, cluster, pod, text))


def _is_written(call: Call, ports: Ports, cluster: Cluster, pod: Pod, text: str) -> bool:
    """Write it now; False for a pod that asked for nothing and can go without."""
    is_plain = not pod.annotations.get(selection.NETWORKS, "").strip()
    patience = min(call.conf.status_timeout, PLAIN_PATIENCE) if is_plain else call.conf.status_timeout
    try:
        _write(call, ports, cluster, pod, text, patience)
    except errors.CniError as error:
        if not is_plain:
            raise errors.TryAgainLater(
                f"[{call.pod_id}]: error setting the networks status: {error.message}", details=error.details
            ) from error
        log.warning("network-status not written yet", pod=call.pod_id, error=error)
        return False
    return True


def _write(call: Call, ports: Ports, cluster: Cluster, pod: Pod, text: str, patience: float) -> None:
    deadline = ports.clock.monotonic() + patience
    try:
        cluster.set_status(pod, text, deadline)
    except errors.NotFound as error:
        log.warning("pod is gone, network-status not written", pod=call.pod_id, error=error)


def _in_background(call: Call, ports: Ports, cluster: Cluster, pod: Pod, text: str) -> None:
    for number in range(BACKGROUND_TRIES):
        if ports.records.superseded(call.container_id, call.pod):
            log.verbose("network-status dropped: a newer ADD or a DEL came", pod=call.pod_id)
            return
        try:
            _write(call, ports, cluster, pod, text, call.conf.status_timeout)
        except errors.CniError as error:
            log.warning("network-status not written yet", pod=call.pod_id, error=error)
            ports.clock.sleep(2.0**number)
        else:
            return
    log.error("network-status given up", pod=call.pod_id)


def added(ports: Ports, pod: Pod | None, plan: Plan, results: Sequence[Result]) -> None:
    """One event that lists every interface: ``Add eth0 [10.1.1.2/24] from default; net1 [...] from ns/name``."""
    if pod is None or ports.cluster is None:
        return
    parts = [
        f"{attachment.ifname} [{' '.join(ip.address for ip in result.ips)}] from {attachment.delegate.name}"
        for attachment, result in zip(plan.attachments, results, strict=True)
    ]
    ports.cluster.event(pod, "Normal", "AddedInterface", "Add " + "; ".join(parts))


def warned(call: Call, ports: Ports, pod: Pod | None, plan: Plan) -> None:
    """What the plan tolerates but somebody should know, in the log and as an event."""
    for warning in plan.warnings:
        log.warning(warning, pod=call.pod_id)
        if pod is not None and ports.cluster is not None:
            ports.cluster.event(pod, "Warning", "IgnoredRequest", warning)


def failed(ports: Ports, pod: Pod | None, error: errors.CniError) -> None:
    """One event for a failed ADD. A missing definition has had its own already."""
    if pod is None or ports.cluster is None or isinstance(error, errors.NotFound):
        return
    ports.cluster.event(pod, "Warning", "FailedAddingNetworks", str(error))
