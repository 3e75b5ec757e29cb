"""The network selection annotations of a pod (NPWG 4.1), in both forms.

Everything here is text from strangers: whatever it is, the only thing raised is errors.AnnotationError, which names
the element and why it can't be used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.cni import environment, rawjson
from multus.networks import elementkeys, names

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

NETWORKS = "k8s.v1.cni.cncf.io/networks"
DEFAULT_NETWORK = "v1.multus-cni.io/default-network"
STATUS = "k8s.v1.cni.cncf.io/network-status"
RESOURCE_NAME = "k8s.v1.cni.cncf.io/resourceName"

#: Kubernetes bounds all annotations of an object together to this.
MAX_BYTES = 256 * 1024
#: More interfaces than this is a mistake, or an attack on the node.
MAX_ELEMENTS = 64

_OBJECT_NAME = "parsePodNetworkObjectName"
_JSON_FORMAT = (
    "parsePodNetworkAnnotation: failed to parse pod Network Attachment Selection Annotation JSON format: the text"
)


class Selection(NamedTuple):
    """One network selection element. `default_route` None: the key is absent; () : the list is empty."""

    name: str
    namespace: str
    ips: tuple[str, ...] = ()
    mac: str = ""
    infiniband_guid: str = ""
    interface: str = ""
    port_mappings: tuple[Json, ...] = ()
    bandwidth: Json | None = None
    cni_args: Json | None = None
    default_route: tuple[str, ...] | None = None
    device_id: str = ""
    ipam_claim_reference: str = ""


def parse(text: str, default_namespace: str) -> tuple[Selection, ...]:
    """The elements of the networks annotation; none for an empty text. Raises errors.AnnotationError."""
    return _parse(text, default_namespace, NETWORKS)


def parse_default(text: str, default_namespace: str) -> Selection:
    """The one element of the default-network annotation. Raises errors.AnnotationError."""
    found = _parse(text, default_namespace, DEFAULT_NETWORK)
    if not found:
        raise errors.AnnotationError(
            f'annotation {DEFAULT_NETWORK}: parsePodNetworkAnnotation: pod annotation does not have "network" as key:'
            " name one network, or remove the annotation"
        )
    if len(found) > 1:
        raise errors.AnnotationError(
            f"annotation {DEFAULT_NETWORK}: more than one default network is specified: {len(found)} elements, name"
            " exactly one"
        )
    return found[0]


def _parse(text: str, default_namespace: str, annotation: str) -> tuple[Selection, ...]:
    elements = _json_elements if any(letter in text for letter in '[{"') else _short_elements
    try:
        if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            raise errors.AnnotationError(f"longer than {MAX_BYTES} bytes")
        return elements(text, default_namespace)
    except errors.CniError as error:
        raise errors.AnnotationError(f"annotation {annotation}: {error.message}") from error


def _bounded(count: int) -> None:
    if count > MAX_ELEMENTS:
        raise errors.AnnotationError(f"{count} networks are named, at most {MAX_ELEMENTS} are possible")


# ── the short form: [namespace/]name[@interface], ... ───────────────────────────────────────────────────────────


def _short_elements(text: str, default_namespace: str) -> tuple[Selection, ...]:
    if not text.strip():
        return ()
    items = text.split(",")
    _bounded(len(items))
    return tuple(_short_element(item.strip(), number, default_namespace) for number, item in enumerate(items, 1))


def _short_element(item: str, number: int, default_namespace: str) -> Selection:
    where = f"element {number} ({environment.shown(item)})"
    if not item:
        raise errors.AnnotationError(f"element {number} is empty: name a network, or remove the comma")
    if item.count("/") > 1:
        raise errors.AnnotationError(f"{where}: {_OBJECT_NAME}: Invalid network object (failed at '/')")
    namespace, slash, rest = item.rpartition("/")
    if rest.count("@") > 1:
        raise errors.AnnotationError(f"{where}: {_OBJECT_NAME}: Invalid network object (failed at '@')")
    name, _, interface = (part.strip() for part in rest.partition("@"))
    namespace = namespace.strip() if slash else default_namespace
    if not names.is_label(name, names.SUBDOMAIN_LENGTH) or (slash and not names.is_label(namespace)):
        raise errors.AnnotationError(
            f"{where}: {_OBJECT_NAME}: Failed to parse: one or more items did not match comma-delimited format (must"
            " consist of lower case alphanumeric characters). Must start and end with an alphanumeric character);"
            " write [namespace/]name[@interface], items separated by commas"
        )
    if interface:
        elementkeys.check_interface(where, interface)
    return Selection(name=name, namespace=namespace, interface=interface)


# ── the JSON form ───────────────────────────────────────────────────────────────────────────────────────────────


def _json_elements(text: str, default_namespace: str) -> tuple[Selection, ...]:
    members = rawjson.loads(text, _JSON_FORMAT)
    if not isinstance(members, list):
        raise errors.AnnotationError(f"{_JSON_FORMAT} must be a list of objects, not {rawjson.kind(members)}")
    _bounded(len(members))
    return tuple(_json_element(member, number, default_namespace) for number, member in enumerate(members, 1))


def _json_element(member: Any, number: int, default_namespace: str) -> Selection:
    where, fields = elementkeys.decode(member, number)
    namespace = fields.pop("namespace", "")
    element = Selection(**{"name": "", **fields, "namespace": namespace or default_namespace})
    if not element.name:
        raise errors.AnnotationError(f"{where}: name is missing")
    if not names.is_subdomain(element.name):
        raise errors.AnnotationError(f"{where}: name is not the name of a NetworkAttachmentDefinition (DNS-1123)")
    if namespace and not names.is_label(namespace):
        raise errors.AnnotationError(f"{where}: namespace {environment.shown(namespace)} is not a namespace (DNS-1123)")
    if element.ips and element.ipam_claim_reference:
        raise errors.AnnotationError(f"{where}: ips and ipam-claim-reference exclude each other (NPWG 4.1.2.1.11)")
    return element
