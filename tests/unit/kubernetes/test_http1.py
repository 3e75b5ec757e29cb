"""HTTP/1.1 as the direct transport speaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from multus import errors
from multus.kubernetes import http1, transport

if TYPE_CHECKING:
    from collections.abc import Sequence

SIMPLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def reader(*parts: bytes) -> http1.Reader:
    """A reader of a connection on which these parts arrive."""
    left = list(parts)
    return http1.Reader(lambda: left.pop(0) if left else b"")


def test_body_of_announced_length() -> None:
    """Content-Length bounds the body; header names are lower case; the connection stays usable."""
    response, reusable = reader(SIMPLE).response()
    assert response == transport.Response(200, {"content-length": "2"}, b"{}")
    assert reusable


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_parts_of_any_size(size: int) -> None:
    """How the network cuts the bytes does not matter."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
    response, reusable = reader(*(data[at : at + size] for at in range(0, len(data), size))).response()
    assert response.body == b"abc0123456789"
    assert reusable


def test_two_responses_after_another() -> None:
    """What arrives early belongs to the next response."""
    both = reader(SIMPLE + SIMPLE.replace(b"200 OK", b"404 No"))
    assert [both.response()[0].status, both.response()[0].status] == [200, 404]


def test_interim_responses_are_skipped() -> None:
    """1xx is not the answer."""
    response, _ = reader(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIMPLE).response()
    assert (response.status, response.headers) == (200, {"content-length": "2"})


@pytest.mark.parametrize("status", [204, 304])
def test_no_body_by_status(status: int) -> None:
    """204 and 304 have no body, whatever the headers say."""
    response, reusable = reader(b"HTTP/1.1 %d -\r\nContent-Length: 9\r\n\r\n" % status).response()
    assert (response.body, reusable) == (b"", True)


def test_body_until_the_end_of_the_connection() -> None:
    """Without a length the body ends with the connection, which is gone then."""
    response, reusable = reader(b"HTTP/1.1 200 OK\r\n\r\nabc", b"def").response()
    assert (response.body, reusable) == (b"abcdef", False)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_connection_that_will_close(head: bytes) -> None:
    """`Connection: close` and HTTP/1.0 end the connection after the response."""
    _, reusable = reader(head + b"Content-Length: 0\r\n\r\n").response()
    assert not reusable


def test_closed_before_the_first_byte() -> None:
    """That is told apart, because the request may be sent again."""
    with pytest.raises(http1.Closed):
        reader().response()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"HTTP/1.1 200", "closed the connection in the middle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "closed the connection in the middle"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "closed the connection in the middle"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP status line"),
        (b"HTTP/2 200 OK\r\n\r\n", "no HTTP status line"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "no HTTP status line"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "no HTTP status line"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "bad header lines"),
        (b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", "bad header lines"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "two different content-length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "bad length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n", "bad length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "more than"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer-encoding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "bad length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "longer than announced"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * http1.HEAD_LIMIT, "without end"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * http1.HEAD_LIMIT, "bad header lines"),
    ],
)
def test_what_is_not_http(data: bytes, message: str) -> None:
    """A response that is cut off, too large or malformed is an error that says which."""
    with pytest.raises(errors.ClusterError, match=message):
        reader(data).response()


@pytest.mark.parametrize("framing", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_endless_body(framing: bytes) -> None:
    """A body without end is cut off at the limit."""
    chunk = b"x" * (1 << 20)
    piece = b"%x\r\n%s\r\n" % (len(chunk), chunk) if framing else chunk
    parts = [b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n", *[piece] * 20]
    with pytest.raises(errors.ClusterError, match="more than"):
        reader(*parts).response()


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5), st.booleans())
@example([b"HTTP/1.1 200 \r\nContent-Length: 0"], False)
@example([b"\r\n\r\n"], True)
def test_no_bytes_crash_it(parts: Sequence[bytes], begin_well: bool) -> None:
    """Whatever a peer sends, only our errors come out."""
    start = b"HTTP/1.1 200 OK\r\n" if begin_well else b""
    try:
        reader(*([start] if start else []), *parts).response()
    except (errors.ClusterError, http1.Closed):
        pass


def test_request_leaves_in_one_piece() -> None:
    """Request line, Host, headers, length and body."""
    data = http1.encode("PATCH", "/a", "[::1]:6443", (("Accept", "x"),), b"{}")
    assert data == b"PATCH /a HTTP/1.1\r\nHost: [::1]:6443\r\nAccept: x\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "\x00", "tök"])
def test_header_that_would_break_the_request(value: str) -> None:
    """A token with a line break never reaches the wire, nor the error text."""
    with pytest.raises(errors.InvalidConfig) as caught:
        http1.encode("GET", "/", "h", (("Authorization", value),), None)
    assert value not in str(caught.value)
