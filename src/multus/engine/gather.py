"""Every network a pod is to have, in order: the default network, `delegates`/`defaultNetworks`, the annotation's
elements, the auxiliary chain (precedence: annotations-and-crd section 4 of the compatibility notes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors, log
from multus.networks import delegates, isolation, nad, references, selection

if TYPE_CHECKING:
    from multus.cni.config import NetworkConfig
    from multus.engine.call import Call, Ports
    from multus.networks.delegates import Delegate
    from multus.networks.selection import Selection
    from multus.ports import Pod


def networks(call: Call, ports: Ports, pod: Pod | None) -> list[Delegate]:
    """All delegates of the pod, element 0 being its default network. Raises errors.CniError."""
    found = [default_network(call, ports, pod), *_further_defaults(call, ports)]
    if pod is not None:
        found += _requested(call, ports, pod)
    chain = _auxiliary_chain(call, ports)
    if chain is not None:
        found.append(chain)
    for delegate in found:
        delegates.refuse_self(delegate)
    return found


def default_network(call: Call, ports: Ports, pod: Pod | None) -> Delegate:
    """The default network: the pod's own choice by annotation, else `clusterNetwork`, else `delegates[0]`."""
    annotation = pod.annotations.get(selection.DEFAULT_NETWORK) if pod is not None else None
    if annotation is not None:
        element = selection.parse_default(annotation, call.conf.multus_namespace)
        return _from_nad(call, ports, element, pod, master=True)
    if call.conf.cluster_network:
        return _referenced(call, ports, call.conf.cluster_network, master=True)
    return call.conf.first_delegate


def _further_defaults(call: Call, ports: Ports) -> list[Delegate]:
    if not call.conf.cluster_network:
        return [delegates.static(raw, master=False) for raw in call.conf.delegates[1:]]
    if call.pod.namespace in call.conf.system_namespaces:
        return []
    return [_referenced(call, ports, text, master=False) for text in call.conf.default_networks]


def _requested(call: Call, ports: Ports, pod: Pod) -> list[Delegate]:
    elements = selection.parse(pod.annotations.get(selection.NETWORKS, ""), pod.namespace)
    isolation.check(elements, pod.namespace, call.conf)
    return [_from_nad(call, ports, element, pod, master=False) for element in elements]


def _from_nad(call: Call, ports: Ports, element: Selection, pod: Pod | None, *, master: bool) -> Delegate:
    definition = _definition(call, ports, element.namespace, element.name, pod)
    return delegates.from_nad(definition, _config(ports, definition), element, master=master)


def _definition(call: Call, ports: Ports, namespace: str, name: str, pod: Pod | None) -> nad.Nad:
    assert ports.cluster is not None
    try:
        return ports.cluster.network(namespace, name, call.deadline - call.conf.rollback_reserve)
    except errors.NotFound as error:
        message = f"cannot find a network-attachment-definition ({name}) in namespace ({namespace}): {error.message}"
        if pod is not None:
            ports.cluster.event(pod, "Warning", "NoNetworkFound", message)
        raise errors.NotFound(message) from error
    except errors.CniError as error:
        raise error.within(f"network-attachment-definition {namespace}/{name}") from error


def _config(ports: Ports, definition: nad.Nad) -> NetworkConfig:
    config = nad.config_of(definition) or ports.conf_files.by_name(definition.name)
    if config is None:
        raise errors.InvalidConfig(
            f"network-attachment-definition {definition.namespace}/{definition.name} has no spec.config, and no CNI"
            f' configuration file in confDir has the name "{definition.name}"'
        )
    return config


def _referenced(call: Call, ports: Ports, text: str, *, master: bool) -> Delegate:
    """`clusterNetwork` or an item of `defaultNetworks`: a path, else a NAD, else a file of confDir by its name."""
    reference = references.classify(text)
    if reference.kind == "path":
        return delegates.from_file(ports.conf_files.by_path(reference.text), master=master)
    definition = _referenced_nad(call, ports, reference.text)
    if definition is not None:
        return delegates.from_nad(definition, _config(ports, definition), None, master=master)
    config = ports.conf_files.by_name(reference.text)
    if config is None:
        raise errors.InvalidConfig(
            f"cannot find network: {text}: neither a network-attachment-definition in namespace"
            f" {call.conf.multus_namespace} nor a CNI configuration of that name in {call.conf.conf_dir}"
        )
    return delegates.from_file(config, master=master)


def _referenced_nad(call: Call, ports: Ports, name: str) -> nad.Nad | None:
    if ports.cluster is None:
        return None
    try:
        return ports.cluster.network(call.conf.multus_namespace, name, call.deadline - call.conf.rollback_reserve)
    except errors.NotFound:
        return None
    except errors.CniError as error:
        raise error.within(f"network-attachment-definition {call.conf.multus_namespace}/{name}") from error


def _auxiliary_chain(call: Call, ports: Ports) -> Delegate | None:
    name = call.conf.auxiliary_cni_chain_name
    if not name:
        return None
    if "/" not in call.conf.cluster_network:
        raise errors.InvalidConfig(
            f"auxiliary chain used but ClusterNetwork must be a path, and it is not a path: {call.conf.cluster_network}"
        )
    config = ports.conf_files.chain(name, call.conf.cluster_network, call.conf.cni_version)
    if config is None:
        log.verbose("auxiliary chain has no plugins", chain=name)
        return None
    return delegates.from_file(config, master=False)
