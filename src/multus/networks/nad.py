"""The NetworkAttachmentDefinition (NPWG 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from multus import errors
from multus.cni import config

if TYPE_CHECKING:
    from multus.cni.config import NetworkConfig


class Nad(NamedTuple):
    """The fields of a NetworkAttachmentDefinition that decisions need; `config` is the text of spec.config."""

    namespace: str
    name: str
    config: str = ""
    resource_name: str = ""


def config_of(definition: Nad) -> NetworkConfig | None:
    """The configuration in spec.config, named after the definition where it has no name of its own; None when it is
    empty (look in `confDir` for one of that name, NPWG 3.4.1). Raises errors.InvalidConfig naming the definition."""
    if not definition.config.strip():
        return None
    what = (
        f"network-attachment-definition {definition.namespace}/{definition.name}: GetCNIConfig: err in"
        " getCNIConfigFromSpec: failed to unmarshal Spec.Config: the text"
    )
    try:
        return config.known(definition.config, what, definition.name)
    except errors.DecodeError as error:
        raise errors.InvalidConfig(error.message) from error
