"""The frames of the executor protocol as values, and the bytes they travel as; pure, in both directions.

Every length is bounded before anything of that length is read. What breaks a bound or a layout raises
`BrokenProtocol`; the connection it came over is of no further use.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from multus import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MAGIC = b"MLTX"

#: Protocol versions this end speaks, ascending.
VERSIONS = (1, 2)

MAX_DATA = 4 << 20
MAX_STDERR = 64 << 10
MAX_VARIABLES = 256
MAX_VARIABLE_BYTES = 256 << 10
MAX_NAME = 255
MAX_PATH = 4095
MAX_DEADLINE = 3600.0
MAX_FRAME = MAX_DATA + MAX_VARIABLE_BYTES + (8 << 10)

#: Of the shim.
HELLO, EXITED, FAILED, NETLINK, PRESENT, ABANDONED = 1, 2, 3, 4, 5, 6
#: Of the daemon.
WELCOME, EXEC, KILL, OPEN_NETLINK, EXISTS, ANSWER = 65, 66, 67, 68, 69, 70
#: Only in a file of last orders, which the shim carries out when there is no daemon any more.
FORGET = 71
#: EXECs that wait for the order before them, since version 2: THEN for its success, NEXT for its end.
THEN, NEXT = 72, 73

#: The largest payload of each type.
BOUNDS = {
    HELLO: MAX_FRAME,
    EXITED: 20 + MAX_DATA + MAX_STDERR,
    FAILED: 8,
    NETLINK: 0,
    PRESENT: 8,
    ABANDONED: 0,
    WELCOME: 64,
    EXEC: MAX_FRAME,
    KILL: 0,
    OPEN_NETLINK: 4 + MAX_PATH,
    EXISTS: 4 + MAX_PATH,
    ANSWER: 8 + MAX_DATA,
    FORGET: 4 + MAX_PATH,
    THEN: MAX_FRAME,
    NEXT: MAX_FRAME,
}

#: HELLO's kinds.
CALL, AGENT = 1, 2

#: EXITED's outcomes.
RAN, SIGNALLED, TIMED_OUT, KILLED, OVERFLOWED = range(5)

#: FAILED's reasons.
NOT_FOUND, UNUSABLE, ITSELF, REFUSED, BUSY, LOCKED, HOST_NETNS, SKIPPED = range(1, 9)

HEADER = struct.Struct(">IHHI")
_LENGTH = struct.Struct(">I")
_EXITED = struct.Struct(">III")


class BrokenProtocol(errors.TryAgainLater):
    """The peer sent bytes that are not this protocol."""


class Frame(NamedTuple):
    """One frame as it travels; `request` is the id of the order it belongs to, 0 where there is none."""

    type: int
    request: int
    payload: bytes


class Hello(NamedTuple):
    """The shim's first frame. `started` is the shim's start as a reading of `time.monotonic()`, which one host shares;
    `search` the directories in which it looks for plugins; `environ` the CNI_* variables, and nothing else; `netns` the
    reason that FAILED would give for CNI_NETNS, 0 for none, None from a shim that speaks version 1 only."""

    versions: tuple[int, int]
    kind: int
    started: float
    program: str
    search: str
    environ: Mapping[str, str]
    stdin: bytes
    netns: int | None = None


class Exec(NamedTuple):
    """Run `plugin` with these CNI_* variables and stdin; `deadline` in seconds from its arrival."""

    deadline: float
    plugin: str
    environ: Mapping[str, str]
    stdin: bytes


class Exited(NamedTuple):
    """A plugin's end: `status` is its exit status, or the signal where `outcome` is not `RAN`; `worked` how long it was
    at work in seconds, None from a shim that speaks version 1."""

    outcome: int
    status: int
    stdout: bytes
    stderr: bytes
    worked: float | None = None


class Failed(NamedTuple):
    """An order that was not carried out: the reason, and the errno where there is one."""

    reason: int
    errno: int


class Welcome(NamedTuple):
    """The version to speak, and the budget in seconds after which the shim stops waiting (0: none)."""

    version: int
    budget: float


class Answer(NamedTuple):
    """The last frame: print `stdout`, exit with `status`."""

    status: int
    stdout: bytes


class Decoder:
    """Cuts a stream of bytes into frames. `types`: those the peer may send."""

    def __init__(self, types: Iterable[int]) -> None:
        self._bounds = {number: BOUNDS[number] for number in types}
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterable[Frame]:
        """The frames that `data` completes. Raises BrokenProtocol at the header of a malformed one."""
        if not self._buffer and len(data) >= HEADER.size:  # most often it is one whole frame
            length, number, reserved, request = HEADER.unpack_from(data)
            if not reserved and length == len(data) - HEADER.size and length <= self._bounds.get(number, -1):
                return (Frame(number, request, data[HEADER.size :]),)
        self._buffer += data
        return self._cut()

    def _cut(self) -> Iterator[Frame]:
        while len(self._buffer) >= HEADER.size:
            length, number, reserved, request = HEADER.unpack_from(self._buffer)
            if reserved or length > self._bounds.get(number, -1):
                raise BrokenProtocol(
                    f"executor protocol: a frame of type {number} with {length} bytes is not acceptable"
                )
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(memoryview(self._buffer)[HEADER.size : end])
            del self._buffer[:end]
            yield Frame(number, request, payload)


def of_shim() -> Decoder:
    """A decoder for what the daemon reads."""
    return Decoder((HELLO, EXITED, FAILED, NETLINK, PRESENT, ABANDONED))


def of_daemon() -> Decoder:
    """A decoder for what a shim reads."""
    return Decoder((WELCOME, EXEC, KILL, OPEN_NETLINK, EXISTS, ANSWER, FORGET, THEN, NEXT))


def encode(number: int, request: int = 0, payload: bytes = b"") -> bytes:
    """One frame. Raises BrokenProtocol when its payload is larger than its type allows."""
    if len(payload) > BOUNDS[number]:
        raise BrokenProtocol(f"executor protocol: {len(payload)} bytes are too many for a frame of type {number}")
    return HEADER.pack(len(payload), number, 0, request) + payload


def _text(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _variables(environ: Mapping[str, str]) -> bytes:
    items = [f"{name}={value}".encode("utf-8", "surrogateescape") for name, value in environ.items()]
    if len(items) > MAX_VARIABLES or sum(map(len, items)) > MAX_VARIABLE_BYTES:
        raise BrokenProtocol("executor protocol: too many CNI_* variables for one frame")
    return b"".join([_LENGTH.pack(len(items)), *[part for item in items for part in (_LENGTH.pack(len(item)), item)]])


class _Reader:
    """Takes fields off a payload; every method raises BrokenProtocol."""

    def __init__(self, payload: bytes, what: str) -> None:
        self._payload, self._at, self._what = payload, 0, what

    def take(self, count: int) -> bytes:
        at = self._at
        self._at = end = at + count
        if end > len(self._payload):
            raise BrokenProtocol(f"executor protocol: {self._what} is cut short")
        return self._payload[at:end]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def data(self, limit: int) -> bytes:
        at = self._at + 4
        if at > len(self._payload):
            raise BrokenProtocol(f"executor protocol: {self._what} is cut short")
        (length,) = _LENGTH.unpack_from(self._payload, self._at)
        if length > limit:
            raise BrokenProtocol(f"executor protocol: {self._what} has a field of {length} bytes, more than {limit}")
        self._at = end = at + length
        if end > len(self._payload):
            raise BrokenProtocol(f"executor protocol: {self._what} is cut short")
        return self._payload[at:end]

    def text(self, limit: int) -> str:
        return self.data(limit).decode("utf-8", "surrogateescape")

    def variables(self) -> dict[str, str]:
        count = self.number(4)
        if count > MAX_VARIABLES:
            raise BrokenProtocol(f"executor protocol: {self._what} has {count} variables")
        found = {}
        for _ in range(count):
            name, mark, value = self.data(MAX_VARIABLE_BYTES).decode("utf-8", "surrogateescape").partition("=")
            if not mark or not name.startswith("CNI_"):
                raise BrokenProtocol(f"executor protocol: {self._what} has a variable that is not CNI_*")
            found[name] = value
        return found

    @property
    def left(self) -> int:
        return len(self._payload) - self._at

    def end(self) -> None:
        if self.left:
            raise BrokenProtocol(f"executor protocol: {self._what} has bytes too many")


def hello(value: Hello) -> bytes:
    """The frame of a `Hello`."""
    return encode(
        HELLO,
        0,
        MAGIC
        + struct.pack(">HHIQ", *value.versions, value.kind, round(value.started * 1000))
        + _text(value.program.encode())
        + _text(value.search.encode("utf-8", "surrogateescape"))
        + _variables(value.environ)
        + _text(value.stdin)
        + (_LENGTH.pack(value.netns) if value.netns is not None else b""),
    )


def read_hello(payload: bytes) -> Hello:
    """A `Hello`; what a later version appends is not read."""
    reader = _Reader(payload, "HELLO")
    if reader.take(4) != MAGIC:
        raise BrokenProtocol("executor protocol: this is not a shim")
    lowest, highest, kind = reader.number(2), reader.number(2), reader.number(4)
    if kind not in (CALL, AGENT):
        raise BrokenProtocol(f"executor protocol: HELLO of an unknown kind {kind}")
    started = reader.number(8) / 1000
    program, search = reader.text(64), reader.text(MAX_PATH)
    variables, stdin = reader.variables(), reader.data(MAX_DATA)
    netns = reader.number(4) if highest > 1 else None
    return Hello((lowest, highest), kind, started, program, search, variables, stdin, netns)


def welcome(value: Welcome) -> bytes:
    """The frame of a `Welcome`."""
    return encode(WELCOME, 0, struct.pack(">HHI", value.version, 0, min(int(value.budget * 1000), 0xFFFFFFFF)))


def read_welcome(payload: bytes) -> Welcome:
    """A `Welcome`; what a later version appends is not read."""
    reader = _Reader(payload, "WELCOME")
    version, _, budget = reader.number(2), reader.number(2), reader.number(4)
    return Welcome(version, budget / 1000)


def exec_content(plugin: str, environ: Mapping[str, str], stdin: bytes) -> bytes:
    """What an EXEC, THEN or NEXT holds behind its deadline."""
    name = plugin.encode("utf-8", "surrogateescape")
    if len(name) > MAX_NAME:
        raise BrokenProtocol("executor protocol: the name of a plugin is too long")
    return _text(name) + _variables(environ) + _text(stdin)


def exec_order(request: int, value: Exec) -> bytes:
    """The frame of an `Exec`."""
    content = exec_content(value.plugin, value.environ, value.stdin)
    return encode(EXEC, request, within(value.deadline, content))


def within(deadline: float, content: bytes) -> bytes:
    """The payload of an EXEC, THEN or NEXT; a deadline (seconds) beyond the bound is cut to it."""
    return _LENGTH.pack(int(min(max(deadline, 0.0), MAX_DEADLINE) * 1000)) + content


def read_exec(payload: bytes) -> Exec:
    """An `Exec`."""
    reader = _Reader(payload, "EXEC")
    found = Exec(reader.number(4) / 1000, reader.text(MAX_NAME), reader.variables(), reader.data(MAX_DATA))
    reader.end()
    return found


def path_order(number: int, request: int, path: str) -> bytes:
    """The frame of OPEN_NETLINK, EXISTS or FORGET."""
    return encode(number, request, path_content(path))


def path_content(path: str) -> bytes:
    """The payload of OPEN_NETLINK, EXISTS or FORGET."""
    return _text(path.encode("utf-8", "surrogateescape"))


def read_path(payload: bytes) -> str:
    """The path of OPEN_NETLINK, EXISTS or FORGET."""
    reader = _Reader(payload, "a path")
    path = reader.text(MAX_PATH)
    reader.end()
    return path


def exited(request: int, value: Exited) -> bytes:
    """The frame of an `Exited`: of version 1 where nobody knows how long it worked."""
    worked = b"" if value.worked is None else _LENGTH.pack(int(value.worked * 1e6))
    texts = _text(value.stdout) + _text(value.stderr)
    return encode(EXITED, request, struct.pack(">II", value.outcome, value.status) + texts + worked)


def read_exited(payload: bytes) -> Exited:
    """An `Exited`. Where its three lengths add up, as they do, it is taken apart at once."""
    if len(payload) >= _EXITED.size + 4:
        outcome, status, length = _EXITED.unpack_from(payload)
        end = _EXITED.size + length
        if end + 4 <= len(payload) and outcome <= OVERFLOWED and length <= MAX_DATA:
            (more,) = _LENGTH.unpack_from(payload, end)
            last = end + 4 + more
            if more <= MAX_STDERR and len(payload) in (last, last + 4):
                worked = _LENGTH.unpack_from(payload, last)[0] / 1e6 if len(payload) > last else None
                return Exited(outcome, status, payload[_EXITED.size : end], payload[end + 4 : last], worked)
    return _read_exited(payload)


def _read_exited(payload: bytes) -> Exited:
    """The same field by field: says what is wrong."""
    reader = _Reader(payload, "EXITED")
    found = Exited(reader.number(4), reader.number(4), reader.data(MAX_DATA), reader.data(MAX_STDERR))
    if reader.left:
        found = found._replace(worked=reader.number(4) / 1e6)
    reader.end()
    if found.outcome > OVERFLOWED:
        raise BrokenProtocol(f"executor protocol: EXITED with an unknown outcome {found.outcome}")
    return found


def pair(number: int, request: int, first: int, second: int = 0) -> bytes:
    """The frame of FAILED (reason, errno) or PRESENT (errno, 0)."""
    return encode(number, request, struct.pack(">II", first, second))


def read_pair(payload: bytes) -> tuple[int, int]:
    """The two numbers of FAILED or PRESENT."""
    reader = _Reader(payload, "FAILED or PRESENT")
    first, second = reader.number(4), reader.number(4)
    reader.end()
    return first, second


def answer(value: Answer) -> bytes:
    """The frame of an `Answer`."""
    return encode(ANSWER, 0, struct.pack(">I", value.status) + _text(value.stdout))


def read_answer(payload: bytes) -> Answer:
    """An `Answer`."""
    reader = _Reader(payload, "ANSWER")
    found = Answer(reader.number(4), reader.data(MAX_DATA))
    reader.end()
    return found


def negotiate(offered: tuple[int, int], spoken: Sequence[int] = VERSIONS) -> int:
    """The highest version both ends speak. Raises BrokenProtocol naming both ranges."""
    common = [version for version in spoken if offered[0] <= version <= offered[1]]
    if not common:
        raise BrokenProtocol(
            f"executor protocol: multus-shim speaks versions {offered[0]} to {offered[1]}, multus-daemon"
            f" {spoken[0]} to {spoken[-1]}: bring both to the same release"
        )
    return common[-1]
