"""The codec: what goes in comes out, and what is malformed is refused before it is read."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.execproto import frames

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = st.from_regex(r"CNI_[A-Z_]{1,10}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
VARIABLES = st.dictionaries(NAMES, VALUES, max_size=8)
NUMBERS = st.integers(0, 0xFFFFFFFF)


def payload(frame: bytes, decoder: frames.Decoder) -> frames.Frame:
    (found,) = decoder.feed(frame)
    return found


@given(VARIABLES, st.binary(max_size=500), st.integers(0, 1 << 40), st.sampled_from([frames.CALL, frames.AGENT]))
def test_hello_comes_back(environ: dict[str, str], stdin: bytes, started: int, kind: int) -> None:
    """Written and read."""
    for hello in (
        frames.Hello((1, 1), kind, started / 1000, "1.2.3", "/a:/b", environ, stdin),
        frames.Hello((1, 3), kind, started / 1000, "1.2.3", "/a:/b", environ, stdin, 0),
        frames.Hello((2, 2), kind, started / 1000, "1.2.3", "/a:/b", environ, stdin, frames.HOST_NETNS),
    ):
        assert frames.read_hello(payload(frames.hello(hello), frames.of_shim()).payload) == hello


@given(NUMBERS, st.integers(0, 3_600_000), VARIABLES, st.binary(max_size=500))
def test_exec_comes_back(request: int, deadline: int, environ: dict[str, str], stdin: bytes) -> None:
    """Written and read, with its id."""
    order = frames.Exec(deadline / 1000, "bridge", environ, stdin)
    frame = payload(frames.exec_order(request, order), frames.of_daemon())
    found = frames.read_exec(frame.payload)
    assert frame.request == request
    assert abs(found.deadline - order.deadline) < 0.0011
    assert found[1:] == order[1:]


@given(
    st.integers(0, 4),
    st.integers(0, 255),
    st.binary(max_size=500),
    st.binary(max_size=500),
    st.sampled_from([None, 0.0, 0.5, 3600.0]),
)
def test_exited_comes_back(outcome: int, status: int, stdout: bytes, stderr: bytes, worked: float | None) -> None:
    """Written and read, as version 1 and 2 have it."""
    ended = frames.Exited(outcome, status, stdout, stderr, worked)
    assert frames.read_exited(payload(frames.exited(7, ended), frames.of_shim()).payload) == ended


def test_the_small_frames_come_back() -> None:
    """WELCOME, ANSWER, paths and pairs."""
    daemon, shim = frames.of_daemon(), frames.of_shim()
    welcome = frames.Welcome(1, 2.5)
    assert frames.read_welcome(payload(frames.welcome(welcome), daemon).payload) == welcome
    answer = frames.Answer(1, b"{}")
    assert frames.read_answer(payload(frames.answer(answer), daemon).payload) == answer
    assert frames.read_path(payload(frames.path_order(frames.EXISTS, 3, "/ä"), daemon).payload) == "/ä"
    assert frames.read_pair(payload(frames.pair(frames.FAILED, 3, 1, 2), shim).payload) == (1, 2)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_any_cut_of_the_stream_gives_the_same_frames(cuts: list[int]) -> None:
    """A stream has no frames of its own."""
    stream = b"".join(frames.exited(number, frames.Exited(0, 0, b"x" * number, b"")) for number in range(1, 6))
    decoder, found, at = frames.of_shim(), [], 0
    for cut in [*cuts, len(stream)]:
        found += list(decoder.feed(stream[at : at + cut]))
        at += cut
    assert [frame.request for frame in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "header",
    [
        (0xFFFFFFFF, frames.EXITED, 0),
        (frames.BOUNDS[frames.EXITED] + 1, frames.EXITED, 0),
        (1, frames.ABANDONED, 0),
        (0, frames.EXEC, 0),
        (0, 99, 0),
        (0, frames.ABANDONED, 1),
    ],
)
def test_a_bad_header_is_refused_at_once(header: tuple[int, int, int]) -> None:
    """Before a byte of its payload is waited for."""
    with pytest.raises(frames.BrokenProtocol):
        list(frames.of_shim().feed(struct.pack(">IHHI", *header, 1)))


READERS: list[Callable[[bytes], object]] = [
    frames.read_hello,
    frames.read_welcome,
    frames.read_exec,
    frames.read_path,
    frames.read_exited,
    frames.read_pair,
    frames.read_answer,
]


@given(st.sampled_from(READERS), st.binary(max_size=200))
def test_nothing_but_our_error_comes_of_any_payload(reader: Callable[[bytes], object], data: bytes) -> None:
    """Random bytes."""
    try:
        reader(data)
    except frames.BrokenProtocol:
        pass


@given(st.data())
def test_nothing_but_our_error_comes_of_a_damaged_hello(data: st.DataObject) -> None:
    """Bytes that are nearly right."""
    good = bytearray(frames.hello(frames.Hello((1, 1), 1, 5.0, "1", "/a", {"CNI_A": "b"}, b"{}"))[frames.HEADER.size :])
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        hello = frames.read_hello(bytes(good))
    except frames.BrokenProtocol:
        return
    assert all(name.startswith("CNI_") for name in hello.environ)


def test_what_a_later_version_appends_is_not_read() -> None:
    """HELLO and WELCOME may grow."""
    hello = frames.Hello((1, 2), 1, 5.0, "1", "/a", {}, b"{}", 2)
    assert frames.read_hello(frames.hello(hello)[frames.HEADER.size :] + b"more") == hello
    assert frames.read_welcome(frames.welcome(frames.Welcome(1, 1))[frames.HEADER.size :] + b"more").version == 1


@pytest.mark.parametrize(
    ("offered", "spoken", "agreed"), [((1, 1), (1,), 1), ((1, 2), (1,), 1), ((1, 2), (2, 3), 2), ((1, 9), (1, 2, 3), 3)]
)
def test_the_highest_common_version_is_agreed(offered: tuple[int, int], spoken: tuple[int, ...], agreed: int) -> None:
    """N with N-1, and the reverse."""
    assert frames.negotiate(offered, spoken) == agreed


@pytest.mark.parametrize("offered", [(3, 4), (0, 0), (3, 1)])
def test_no_common_version_is_an_error_that_names_both(offered: tuple[int, int]) -> None:
    """What to do is in the message."""
    with pytest.raises(frames.BrokenProtocol, match=f"{offered[0]} to {offered[1]}"):
        frames.negotiate(offered)


@pytest.mark.parametrize(
    "make",
    [
        lambda: frames.exec_order(1, frames.Exec(1, "n" * 256, {}, b"")),
        lambda: frames.exec_order(1, frames.Exec(1, "n", {f"CNI_{n}": "" for n in range(257)}, b"")),
        lambda: frames.exec_order(1, frames.Exec(1, "n", {"CNI_A": "a" * frames.MAX_VARIABLE_BYTES}, b"")),
        lambda: frames.exec_order(1, frames.Exec(1, "n", {}, b"x" * (frames.MAX_FRAME + 1))),
        lambda: frames.answer(frames.Answer(0, b"x" * (frames.MAX_DATA + 1))),
        lambda: frames.path_order(frames.EXISTS, 1, "/" * 4096),
    ],
)
def test_what_the_other_end_would_refuse_is_not_sent(make: Callable[[], bytes]) -> None:
    """The bounds hold on both sides."""
    with pytest.raises(errors.TryAgainLater):
        make()
