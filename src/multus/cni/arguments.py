"""CNI_ARGS: ``K=V;K=V``, and the pod that Kubernetes runtimes name in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.cni import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

Pairs = tuple[tuple[str, str], ...]

_NAMESPACE, _NAME = "K8S_POD_NAMESPACE", "K8S_POD_NAME"
_SANDBOX, _UID = "K8S_POD_INFRA_CONTAINER_ID", "K8S_POD_UID"
_IGNORE = "IgnoreUnknown"
_KNOWN = frozenset((_IGNORE, "IP", _NAMESPACE, _NAME, _SANDBOX, _UID))


class PodArgs(NamedTuple):
    """The pod of a call, members empty where the runtime named none."""

    namespace: str = ""
    name: str = ""
    sandbox: str = ""
    uid: str = ""


def parse(text: str) -> Pairs:
    """The pairs in order. Raises errors.InvalidEnvironment for a pair without exactly one ``=``."""
    pairs = []
    for part in text.split(";") if text else ():
        key, equals, value = part.partition("=")
        if not equals or not key or "=" in value:
            raise errors.InvalidEnvironment(f"ARGS: invalid pair {environment.shown(part)}")
        pairs.append((key, value))
    return tuple(pairs)


def render(pairs: Pairs) -> str:
    """The text of CNI_ARGS."""
    return ";".join([f"{key}={value}" for key, value in pairs])


def pod(pairs: Pairs) -> PodArgs:
    """The pod. Raises errors.InvalidEnvironment for keys Multus doesn't know unless IgnoreUnknown is 1 or true."""
    given = dict(pairs)
    unknown = [environment.shown(f"{key}={value}") for key, value in pairs if key not in _KNOWN]
    if unknown and given.get(_IGNORE, "").lower() not in ("1", "true"):
        raise errors.InvalidEnvironment(f"error getting k8s args: ARGS: unknown args [{' '.join(unknown)}]")
    return PodArgs(
        namespace=given.get(_NAMESPACE, ""),
        name=given.get(_NAME, ""),
        sandbox=given.get(_SANDBOX, ""),
        uid=given.get(_UID, ""),
    )


def for_delegate(pairs: Pairs, of: PodArgs, mac: str = "", ips: Sequence[str] = ()) -> Pairs:
    """CNI_ARGS of a delegate: upstream's order, each key once (the last value given counts, as for `pod`), the
    runtime's further keys kept, then MAC and IP."""
    own = {_IGNORE: "true", _NAMESPACE: of.namespace, _NAME: of.name, _SANDBOX: of.sandbox, _UID: of.uid}
    chosen = own | {key: value for key, value in pairs if key not in own}
    if mac:
        chosen["MAC"] = mac
    if ips:
        chosen["IP"] = ",".join(ips)
    return tuple(chosen.items())
