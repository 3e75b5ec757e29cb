"""Pods that run without the networks they asked for, because they started while Multus was not in force.

They are told by what is missing: the pod runs, names networks, and nothing on this node is on record about it. A pod
that is on record and only lacks its network-status is never one of them. What happens to them: `slippedwatch`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.cni import arguments
from multus.cni.arguments import PodArgs
from multus.host import clock, records
from multus.host import results as result_files
from multus.networks import selection
from multus.ports import Pod

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multus.cni.rawjson import Json

#: The UID of a static pod as the runtime knows it.
CONFIG_HASH = "kubernetes.io/config.hash"


class OnRecord(NamedTuple):
    """The pods of all records, each with the container id of its sandbox. `others`: there are records that name none
    (upstream's don't)."""

    pods: Mapping[tuple[str, str, str], str]
    others: bool


class Found(NamedTuple):
    """`slipped`: those that run without their networks. `silent`: those on record that have no network-status, with
    their container ids."""

    slipped: list[Pod]
    silent: list[tuple[Pod, str]]


def find(pods: Sequence[Json], recorded: OnRecord) -> Found:
    """What is wrong. Where some records name no pod, a pod that has a network-status counts as attached."""
    asking = [pod for pod in map(_asking, pods) if pod is not None]
    known = [(pod, _sandbox(pod, recorded)) for pod in asking]
    slipped = [pod for pod, sandbox in known if not sandbox and not (recorded.others and _has_status(pod))]
    return Found(slipped, [(pod, sandbox) for pod, sandbox in known if sandbox and not _has_status(pod)])


def is_evictable(raw: Json) -> bool:
    """Whether somebody makes another one in its place: it has a controller, and that is not the node itself."""
    owners = part(raw, "metadata").get("ownerReferences")
    owners = owners if isinstance(owners, list) else []
    return any(isinstance(one, dict) and one.get("controller") and one.get("kind") != "Node" for one in owners)


def on_record(found: Iterable[tuple[PodArgs, str]]) -> OnRecord:
    """The pods of records and their container ids."""
    known = [((pod.namespace, pod.name, pod.uid), container_id) for pod, container_id in found]
    return OnRecord({one: container_id for one, container_id in known if one[1]}, any(not one[1] for one, _ in known))


def load(cni_dir: str) -> OnRecord:
    """What is on record in the directory, or known from cached results alone; a damaged record is one that names no
    pod. Raises errors.IoFailure."""
    kept = records.RecordFiles(cni_dir, clock.SystemClock())
    found = []
    for container_id in kept.containers():
        try:
            record = kept.load(container_id, "eth0")
        except errors.DamagedRecord:
            found.append((PodArgs(), container_id))
            continue
        if record is not None:
            found.append((record.pod, container_id))
    known = {container_id for pod, container_id in found if pod.name}
    cached = ((arguments.pod(one.args), one.container_id) for one in result_files.ResultFiles(cni_dir).all())
    found += [(pod, container_id) for pod, container_id in cached if pod.name and container_id not in known]
    return on_record(found)


def _asking(raw: Json) -> Pod | None:
    """The pod, if it should have networks: it runs, is not the host's, and names some."""
    meta, spec, state = (part(raw, key) for key in ("metadata", "spec", "status"))
    annotations = part(meta, "annotations")
    if state.get("phase") != "Running" or spec.get("hostNetwork") or meta.get("deletionTimestamp"):
        return None
    if str(annotations.get(selection.NETWORKS) or "").strip() in ("", "[]"):
        return None
    return Pod(str(meta.get("namespace")), str(meta.get("name")), str(meta.get("uid")), annotations)


def _sandbox(pod: Pod, recorded: OnRecord) -> str:
    """The container id of its sandbox, "" where it is not on record."""
    uids = (pod.uid, pod.annotations.get(CONFIG_HASH, pod.uid), "")
    found = (recorded.pods.get((pod.namespace, pod.name, uid)) for uid in uids)
    return next(filter(None, found), "")


def _has_status(pod: Pod) -> bool:
    return bool(pod.annotations.get(selection.STATUS))


def part(holder: Json, key: str) -> dict[str, Any]:
    """An object in an object, empty where there is none."""
    value = holder.get(key)
    return value if isinstance(value, dict) else {}
