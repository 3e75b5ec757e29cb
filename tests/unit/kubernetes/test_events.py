"""The Event object."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from multus.kubernetes import events
from multus.ports import Pod

POD = Pod("ns", "web", "u-1", {})


def test_whole_object() -> None:
    """As core/v1 has it."""
    event = events.Event(POD, "Normal", "AddedInterface", "Add eth0", 1_700_000_000_123_456_789)
    assert events.render(event, "node-1") == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "web.17979cfe3d85cd15", "namespace": "ns"},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "ns", "name": "web", "uid": "u-1"},
        "type": "Normal",
        "reason": "AddedInterface",
        "message": "Add eth0",
        "count": 1,
        "firstTimestamp": "2023-11-14T22:13:20Z",
        "lastTimestamp": "2023-11-14T22:13:20Z",
        "source": {"component": "multus", "host": "node-1"},
        "reportingComponent": "multus",
        "reportingInstance": "node-1",
    }


def test_name_of_a_pod_with_a_long_name() -> None:
    """Cut, so that it is still a valid name."""
    name = events.render(
        events.Event(POD._replace(name="a" * 230 + "-" * 10 + "b" * 13), "Normal", "R", "m", 1 << 60), "n"
    )
    assert name["metadata"]["name"] == "a" * 230 + ".1000000000000000"


@given(st.text(alphabet=st.characters(), max_size=1200), st.text(max_size=200))
def test_bounds(message: str, reason: str) -> None:
    """Message and reason fit, and can be encoded, whatever they are."""
    rendered = events.render(events.Event(POD, "Normal", reason, message, 1), "n")
    assert len(rendered["message"].encode()) <= events.MESSAGE_LIMIT
    assert len(rendered["reason"].encode()) <= events.REASON_LIMIT


def test_message_is_cut_on_a_character() -> None:
    """No half characters, and a sign that something is missing."""
    rendered = events.render(events.Event(POD, "Normal", "R", "ä" * 1024, 1), "n")
    assert rendered["message"] == "ä" * 510 + "..."
