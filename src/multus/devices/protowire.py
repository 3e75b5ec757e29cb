"""Protocol buffers, as far as four messages of the kubelet need them: reading fields, writing strings.

A runtime for them would cost more than the rest of the lookup (docs/design/0005). The reader bounds everything: a
length beyond the message, a number of more than ten bytes, a wire type that is gone are errors; fields we don't know
are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Wire types (protobuf encoding specification).
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

#: A 64-bit number takes ten bytes at most.
_VARINT_BYTES = 10


def members(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field that has bytes as its content: strings and messages, in the order they were
    written. Numbers are passed over. Raises errors.DecodeError."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == _BYTES:
            size, position = _varint(message, position)
            if size > end - position:
                raise _malformed("a field is longer than its message")
            yield tag >> 3, message[position : position + size]
            position += size
        elif kind == _VARINT:
            _, position = _varint(message, position)
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
            if position > end:
                raise _malformed("a number is cut off")
        else:
            raise _malformed(f"wire type {kind}")


def text(content: memoryview) -> str:
    """A string field. Raises errors.DecodeError."""
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("a string is not UTF-8") from error


def string(number: int, value: str) -> bytes:
    """The encoding of a string field."""
    data = value.encode()
    return _encoded(number << 3 | _BYTES) + _encoded(len(data)) + data


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """The number at `position`, and the position behind it."""
    value = 0
    for count, byte in enumerate(message[position : position + _VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            return value, position + count + 1
    raise _malformed("a number has no end")


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _malformed(what: str) -> errors.DecodeError:
    return errors.DecodeError(f"malformed message: {what}")
