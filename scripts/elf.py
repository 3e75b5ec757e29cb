"""Just enough of ELF to say what an executable needs, whatever machine it is for. 64-bit files alone."""

from __future__ import annotations

import struct
from typing import NamedTuple

#: e_machine -> our name of the architecture.
MACHINES = {62: "amd64", 183: "arm64", 21: "ppc64le", 22: "s390x"}

_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRINGS = 1, 5


class Elf(NamedTuple):
    """`needed`: names of shared libraries; `interpreter`: path of the loader, "" for none."""

    architecture: str
    needed: tuple[str, ...]
    interpreter: str


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


def is_elf(data: bytes) -> bool:
    """Whether it is an ELF file at all."""
    return data.startswith(b"\x7fELF")


def parse(data: bytes) -> Elf:
    """What is in it. Raises ValueError when it is no 64-bit ELF file of an architecture we know."""
    if not is_elf(data) or data[4] != 2:
        raise ValueError("not a 64-bit ELF file")
    order = "<" if data[5] == 1 else ">"
    (machine,) = struct.unpack_from(order + "H", data, 18)
    if machine not in MACHINES:
        raise ValueError(f"for an unknown machine ({machine})")
    segments = _segments(data, order)
    interpreters = (data[one.offset : one.offset + one.size - 1] for one in segments if one.kind == _INTERPRETER)
    return Elf(MACHINES[machine], tuple(_needed(data, order, segments)), next(interpreters, b"").decode())


def _segments(data: bytes, order: str) -> list[_Segment]:
    (start,) = struct.unpack_from(order + "Q", data, 32)
    size, number = struct.unpack_from(order + "HH", data, 54)
    found = []
    for index in range(number):
        kind, _, offset, address, _, length = struct.unpack_from(order + "IIQQQQ", data, start + index * size)
        found.append(_Segment(kind, offset, address, length))
    return found


def _needed(data: bytes, order: str, segments: list[_Segment]) -> list[str]:
    entries = [
        struct.unpack_from(order + "qQ", data, position)
        for one in segments
        if one.kind == _DYNAMIC
        for position in range(one.offset, one.offset + one.size, 16)
    ]
    table = next((_offset(value, segments) for tag, value in entries if tag == _STRINGS), 0)
    starts = [table + value for tag, value in entries if tag == _NEEDED]
    return [data[start : data.index(b"\0", start)].decode() for start in starts]


def _offset(address: int, segments: list[_Segment]) -> int:
    """Where in the file the content of an address is."""
    return next(
        address - one.address + one.offset
        for one in segments
        if one.kind == _LOAD and one.address <= address < one.address + one.size
    )
