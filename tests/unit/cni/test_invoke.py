"""How a plugin's end is understood (CNI specification, section 2)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import invoke
from multus.cni.invoke import PluginCall, PluginExit

CALL = PluginCall("bridge", {"CNI_COMMAND": "ADD"}, b"{}", 0.0)


def failure(status: int, stdout: bytes = b"", stderr: bytes = b"") -> errors.CniError:
    """What `output` raises."""
    with pytest.raises(errors.CniError) as caught:
        invoke.output(CALL, PluginExit(status, stdout, stderr))
    return caught.value


def test_success() -> None:
    """stdout as it is, whatever stderr says."""
    assert invoke.output(CALL, PluginExit(0, b" {}\n", b"a warning")) == b" {}\n"


def test_error_object() -> None:
    """Code, msg and details are the plugin's."""
    error = failure(1, b'{"cniVersion": "1.0.0", "code": 11, "msg": "try again", "details": "pool is empty"}')
    assert (error.code, error.message, error.details) == (11, "try again", "pool is empty")


@pytest.mark.parametrize(
    ("code", "kept"),
    [(1, 1), (100, 100), (4294967295, 4294967295), (0, 999), (-1, 999), (4294967296, 999), ("11", 999), (None, 999)],
)
def test_codes(code: object, kept: int) -> None:
    """Unsigned 32-bit numbers other than 0; everything else is the general code."""
    assert failure(1, json.dumps({"code": code, "msg": "x"}).encode()).code == kept


def test_code_alone() -> None:
    """A code without a message is told."""
    error = failure(1, b'{"code": 7}')
    assert error.code == 7
    assert "code 7" in error.message


@pytest.mark.parametrize(
    ("stdout", "stderr", "parts"),
    [
        (b"", b"", ["no error message: exit status 3"]),
        (b" \n", b"panic: oh no\n", ['netplugin failed: "panic: oh no"']),
        (b"oh no", b"", ["error parsing its diagnostic message", "oh no"]),
        (b"oh no", b"the reason", ["oh no", 'stderr: "the reason"']),
        (b"[]", b"", ["error parsing its diagnostic message"]),
        (b"{}", b"why", ['"{}" is not a CNI error', 'stderr: "why"']),
        (b'{"msg": ""}', b"", ["is not a CNI error"]),
        (b"\xff\xfe", b"\xff", ["error parsing its diagnostic message"]),
    ],
)
def test_no_error_object(stdout: bytes, stderr: bytes, parts: list[str]) -> None:
    """Silent or garbled: each way has its own message, stderr included, code 999."""
    error = failure(3, stdout, stderr)
    assert isinstance(error, errors.PluginFailed)
    assert error.code == 999
    assert all(part in error.message for part in parts), error.message


@pytest.mark.parametrize(("status", "name"), [(-9, "SIGKILL"), (-11, "SIGSEGV"), (-15, "SIGTERM"), (-99, "99")])
def test_signal(status: int, name: str) -> None:
    """Death by a signal is named, even when something was printed before."""
    error = failure(status, b'{"code": 7, "msg": "not this"}', b"last words")
    assert f"killed by signal {name}" in error.message
    assert "last words" in error.message


def test_bounded() -> None:
    """However much was printed, a message is short and one line."""
    long = b"x\n" * 100_000
    assert len(failure(1, long, long).message) < 3000
    told = failure(1, json.dumps({"code": 7, "msg": "m\n" * 9000, "details": "d\n" * 9000}).encode())
    assert len(told.message) <= invoke.TOLD + 3
    assert len(told.details) <= invoke.TOLD + 3
    assert "\n" not in str(told)


@given(st.integers(-70, 260).filter(bool), st.binary(max_size=200), st.binary(max_size=50))
def test_anything(status: int, stdout: bytes, stderr: bytes) -> None:
    """Nothing that a plugin prints raises anything else, or makes more than a line."""
    assert str(failure(status, stdout, stderr)).isprintable()
