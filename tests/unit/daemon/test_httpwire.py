"""Reading requests: in any pieces, within bounds, and nothing that is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus.daemon import httpwire
from multus.daemon.httpwire import Reader, Refused, Request, Response

POST = b"POST /cni HTTP/1.1\r\nHost: dummy\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = b"POST /cni HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nbod\r\n1\r\ny\r\n0\r\nTrailer: a\r\n\r\n"


def read(data: bytes, size: int = 1 << 20) -> Request | None:
    reader = Reader()
    for start in range(0, len(data), size):
        found = reader.feed(data[start : start + size])
        if found is not None:
            return found
    return None


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("data", [POST, CHUNKED])
def test_pieces(data: bytes, size: int) -> None:
    """A request is the same whatever pieces it arrives in, with a length or in chunks."""
    assert read(data, size) == Request("POST", "/cni", b"body")


def test_no_body() -> None:
    """Without a length there is no body; a query is not part of the path."""
    assert read(b"GET /healthz?verbose HTTP/1.1\r\n\r\n") == Request("GET", "/healthz")


def test_incomplete() -> None:
    """Every beginning of a request asks for more."""
    for data in (POST, CHUNKED):
        assert all(read(data[:end]) is None for end in range(len(data)))


def test_continue() -> None:
    """A client that waits to be told is known as long as its body has not begun."""
    reader = Reader()
    seen = []
    for data in (b"POST /cni HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", b"bo", b"dy"):
        found = reader.feed(data)
        seen.append((reader.awaited, found))
    assert seen == [(True, None), (False, None), (False, Request("POST", "/cni", b"body"))]


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, b"nonsense\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        (400, b"GET  / HTTP/1.1\r\n\r\n"),
        (400, b"GET http://dummy/ HTTP/1.1\r\n\r\n"),
        (400, b"G(T / HTTP/1.1\r\n\r\n"),
        (400, b"GET / JUNK\r\n\r\n"),
        (505, b"PRI * HTTP/2.0\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nbad header\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nA : b\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\n: b\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        (400, b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (413, b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"),
        (413, b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"),
        (501, b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        (417, b"POST / HTTP/1.1\r\nExpect: miracles\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nA: " + b"b" * httpwire.HEAD_LIMIT),
        (400, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        (400, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"),
        (400, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc"),
        (400, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 300),
        (413, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n"),
        (413, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n"),
    ],
)
def test_refused(status: int, data: bytes) -> None:
    """What is not a request, is longer than any, or could be read in two ways is refused as soon as that is known."""
    with pytest.raises(Refused) as caught:
        read(data)
    assert caught.value.status == status


def test_chunks_add_up() -> None:
    """The bound is on all chunks together."""
    reader = Reader(body_limit=10)
    reader.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n")
    with pytest.raises(Refused):
        reader.feed(b"8\r\n")


@given(st.lists(st.binary(max_size=64) | st.sampled_from([POST, CHUNKED, b"\r\n\r\n", b"0\r\n"]), max_size=8))
def test_anything(pieces: list[bytes]) -> None:
    """Whatever arrives, it is a request, the beginning of one, or refused."""
    statuses = []
    try:
        read(b"".join(pieces), 16)
    except Refused as refused:
        statuses.append(refused.status)
    assert set(statuses) <= set(httpwire.REASONS)


def test_encoded() -> None:
    """An answer says its length and type, and that it is the last."""
    assert httpwire.encode(Response(200, b"{}", httpwire.JSON)) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    )
    assert httpwire.encode(Response(404)) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
