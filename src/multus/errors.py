"""The tree of errors this project raises, and the code each has on the wire.

Every error that may leave a module of ours is a `CniError`: it carries the numeric code, the message and the
details of the CNI specification's error object (section 5, "Error"), so that any of them can be printed to the
runtime as it is. A delegate's own error keeps its code on its way up (`within` adds where it happened). Foreign
exceptions are translated where they arise, with the cause kept by ``raise ... from``.

    CniError
    ├── IncompatibleVersion 1   ├── AnnotationError 7       ├── PluginFailed 999
    ├── InvalidEnvironment 4    ├── IsolationError 7        ├── PluginNotFound 999
    ├── IoFailure 5             ├── InterfaceCollision 7    ├── PluginUnusable 999
    │   └── DamagedRecord 5     ├── RouteConflict 7         ├── PluginTimeout 11
    ├── DecodeError 6           ├── DeviceShortage 7        ├── ClusterError 11
    ├── InvalidConfig 7         ├── SelfDelegation 7        │   ├── NotFound 999
    └── Unavailable 50          ├── SameNamespace 8         │   └── Denied 999
                                └── TryAgainLater 11        └── Internal 999
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from typing import Any, Self


def one_line(text: str) -> str:
    """`text` without line breaks and other characters that can't be printed: names in it come from strangers."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)


class CniError(Exception):
    """An error with the members of the CNI error object: `code` (int), `message` and `details` (one line each)."""

    default_code: ClassVar[int] = 999

    def __init__(self, message: str, *, details: str = "", code: int | None = None) -> None:
        self.code = self.default_code if code is None else code
        self.message = one_line(message)
        self.details = one_line(details)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}; {self.details}" if self.details else self.message

    def within(self, context: str) -> Self:
        """The same error (class, code, details), its message prefixed by where it happened: ``context: message``."""
        other = self.__class__.__new__(self.__class__)
        other.__dict__.update(self.__dict__)
        other.message = f"{one_line(context)}: {self.message}"
        other.args = (other.message,)
        other.__cause__ = self
        return other

    def as_object(self, cni_version: str) -> dict[str, Any]:
        """The error object of the CNI specification; `details` is left out when empty."""
        wire: dict[str, Any] = {"cniVersion": cni_version} if cni_version else {}
        wire |= {"code": self.code, "msg": self.message}
        if self.details:
            wire["details"] = self.details
        return wire


class IncompatibleVersion(CniError):
    """A CNI version that is not supported, or that does not know the verb."""

    default_code = 1


class InvalidEnvironment(CniError):
    """CNI_* variables or CNI_ARGS are missing or malformed; the message names all of them."""

    default_code = 4


class IoFailure(CniError):
    """Reading or writing a file of ours failed."""

    default_code = 5


class DamagedRecord(IoFailure):
    """A record or cached result can't be understood. It is set aside; it never blocks DEL."""


class DecodeError(CniError):
    """Text that should be JSON (or a CNI result) is not."""

    default_code = 6


class InvalidConfig(CniError):
    """A network configuration that can't be used."""

    default_code = 7


class AnnotationError(InvalidConfig):
    """A pod annotation that can't be used; the message names the element and why."""


class IsolationError(InvalidConfig):
    """A pod refers to a network of a namespace it may not use."""


class InterfaceCollision(InvalidConfig):
    """Two attachments want one interface name, or the sandbox has such an interface already."""


class RouteConflict(InvalidConfig):
    """Two attachments claim the default route of one address family."""


class DeviceShortage(InvalidConfig):
    """Fewer devices than attachments that need one."""


class SelfDelegation(InvalidConfig):
    """A delegate that is Multus itself."""


class SameNamespace(CniError):
    """CNI_NETNS is the network namespace of the caller, i.e. the host's (the CNI skeleton's code 8)."""

    default_code = 8


class TryAgainLater(CniError):
    """Something transient: the runtime should retry."""

    default_code = 11


class Unavailable(CniError):
    """The plugin can't serve ADD at present (STATUS)."""

    default_code = 50


class PluginFailed(CniError):
    """A plugin ended without a usable error object: silent, garbled, or by a signal."""


class PluginNotFound(CniError):
    """No executable of that type in the searched directories; the message names them."""


class PluginUnusable(CniError):
    """A plugin was found but could not be started."""


class PluginTimeout(TryAgainLater):
    """A plugin did not end within its deadline and was killed."""


class ClusterError(TryAgainLater):
    """The API server did not answer, or answered with a transient failure."""


class NotFound(ClusterError):
    """The API server (or the manifests directory) has no such object."""

    default_code = 999


class Denied(ClusterError):
    """The API server refused: unauthorized or forbidden. The message names the verb and the resource."""

    default_code = 999


class Internal(CniError):
    """A defect of ours; reported, never hidden."""
