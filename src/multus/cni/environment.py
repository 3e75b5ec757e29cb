"""The parameters of a call: CNI_* variables (CNI specification, section 2)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Which variables each verb needs, beside CNI_COMMAND.
REQUIRED = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"),
    "GC": ("CNI_PATH",),
    "STATUS": ("CNI_PATH",),
    "VERSION": (),
}

#: The kernel's IFNAMSIZ, less the terminating NUL.
IFNAME_BYTES = 15

_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME = _ALPHANUMERIC | frozenset("_.-")

#: The same few names are judged again and again: for each plugin, record and cached result of a sandbox. Longer ones
#: are nobody's, and not to be remembered.
_REMEMBERED = 1024
_LONG = 128


class Environment(NamedTuple):
    """One call's parameters; what the verb does not need may be empty. `args` is CNI_ARGS as it came, `path` the
    directories of CNI_PATH."""

    command: str
    container_id: str = ""
    netns: str = ""
    ifname: str = ""
    args: str = ""
    path: tuple[str, ...] = ()


def from_environ(environ: Mapping[str, str]) -> Environment:
    """The call in `environ`. Raises errors.InvalidEnvironment naming every missing variable, else every malformed one
    (specification, error code 4)."""
    command = environ.get("CNI_COMMAND", "")
    if not command:
        raise errors.InvalidEnvironment("required env variables [CNI_COMMAND] missing")
    if command not in REQUIRED:
        raise errors.InvalidEnvironment(f"unknown CNI_COMMAND: {shown(command)}")
    missing = [name for name in REQUIRED[command] if not environ.get(name)]
    if missing:
        raise errors.InvalidEnvironment(f"required env variables [{','.join(missing)}] missing")
    request = Environment(
        command=command,
        container_id=environ.get("CNI_CONTAINERID", ""),
        netns=environ.get("CNI_NETNS", ""),
        ifname=environ.get("CNI_IFNAME", ""),
        args=environ.get("CNI_ARGS", ""),
        path=tuple(part for part in environ.get("CNI_PATH", "").split(":") if part),
    )
    if "CNI_CONTAINERID" in REQUIRED[command]:
        _check(request)
    return request


def _check(request: Environment) -> None:
    found = (
        ("CNI_CONTAINERID", request.container_id, _container_id_problem(request.container_id)),
        ("CNI_IFNAME", request.ifname, ifname_problem(request.ifname)),
    )
    problems = [f"{name} {shown(value)}: {problem}" for name, value, problem in found if problem]
    if problems:
        raise errors.InvalidEnvironment(", ".join(problems))


def is_name(text: str) -> bool:
    """An alphanumeric character, then alphanumerics, ``_``, ``.`` or ``-``: container ids and network names."""
    return _is_name(text) if len(text) <= _LONG else _NAME.issuperset(text) and text[0] in _ALPHANUMERIC


@functools.lru_cache(_REMEMBERED)
def _is_name(text: str) -> bool:
    return bool(text) and text[0] in _ALPHANUMERIC and _NAME.issuperset(text)


def check_container_id(text: str) -> str:
    """`text`, or errors.InvalidEnvironment."""
    if is_name(text):
        return text
    raise errors.InvalidEnvironment(f"{_container_id_problem(text)}: {shown(text)}")


def _container_id_problem(text: str) -> str:
    if not text:
        return "missing containerID"
    return "" if is_name(text) else "invalid characters in containerID"


def check_network_name(text: str) -> str:
    """`text`, or errors.InvalidConfig (code 7)."""
    if not text:
        raise errors.InvalidConfig("missing network name")
    if not is_name(text):
        raise errors.InvalidConfig("invalid characters found in network name", details=shown(text))
    return text


def check_ifname(text: str) -> str:
    """`text`, or errors.InvalidEnvironment: what the kernel accepts as an interface name."""
    problem = ifname_problem(text)
    if problem:
        raise errors.InvalidEnvironment(f"{problem}: {shown(text)}")
    return text


def ifname_problem(text: str) -> str:
    """What is wrong with an interface name; "" when nothing is."""
    if not text:
        return "interface name is empty"
    return _ifname_problem(text) if len(text) <= _LONG else _TOO_LONG


_TOO_LONG = f"interface name is too long, at most {IFNAME_BYTES} bytes"


@functools.lru_cache(_REMEMBERED)
def _ifname_problem(text: str) -> str:
    if len(text.encode("utf-8", "surrogatepass")) > IFNAME_BYTES:
        return _TOO_LONG
    if text in (".", ".."):
        return "interface name is . or .."
    if not is_name(text) and any(letter in "/:" or letter.isspace() or not letter.isprintable() for letter in text):
        return "interface name contains / or : or whitespace characters"
    # The kernel takes such a name as a pattern (net%d) and makes an interface of another name.
    return "interface name contains %" if "%" in text else ""


def shown(text: str) -> str:
    """`text` quoted for a message, bounded, on one line."""
    clipped = text if len(text) <= 80 else text[:77] + "..."
    return '"' + clipped.encode("unicode_escape").decode("ascii") + '"'
