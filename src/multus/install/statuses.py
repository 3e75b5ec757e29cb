"""A network-status that is missing, made of what is on record: the pod has its networks, only nobody can see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus.networks import delegates, plan, status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.results import Result
    from multus.networks.record import Entry, Record
    from multus.ports import CachedResult


def of(record: Record, cached: Sequence[CachedResult]) -> str | None:
    """The annotation of that sandbox; None where it could only be a part: without a result, or about a device, of which
    the device plugin alone knows more."""
    results = {(one.network, one.ifname): one.result for one in cached}
    pairs = [(_attachment(entry), results.get(entry.key)) for entry in record.entries]
    whole: list[tuple[plan.Attachment, Result]] = [(made, result) for made, result in pairs if result is not None]
    has_device = any(entry.asked.get("deviceID") or entry.failed for entry in record.entries)
    if has_device or not pairs or len(whole) < len(pairs):
        return None
    return status.render(status.entries(whole))


def _attachment(entry: Entry) -> plan.Attachment:
    made = delegates.Delegate(entry.config, entry.name, None, entry.master)
    return plan.Attachment(made, entry.ifname, entry.args, entry.capability_args)
