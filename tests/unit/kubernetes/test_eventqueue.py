"""Events in the background."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from multus import errors
from multus.kubernetes.backoff import Backoff
from multus.kubernetes.eventqueue import SENDERS, EventQueue
from multus.ports import Pod

if TYPE_CHECKING:
    from multus.kubernetes.events import Event

POD = Pod("ns", "web", "u", {})


class Receiver:
    """Takes events; raises `failures` first. `gate` holds it back."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.events: list[Event] = []
        self.tries = 0
        self.gate = threading.Event()
        self.gate.set()

    def send(self, event: Event, deadline: float) -> None:
        """One event."""
        self.tries += 1
        self.gate.wait(30)
        if self.failures:
            raise self.failures.pop(0)
        self.events.append(event)

    @property
    def reasons(self) -> list[str]:
        """What came."""
        return [event.reason for event in self.events]


def soon() -> float:
    """A deadline that no test reaches."""
    return time.monotonic() + 30


def queue(receiver: Receiver, limit: int = 10) -> EventQueue:
    """A queue with short pauses."""
    return EventQueue(receiver.send, limit=limit, backoff=Backoff(0.001, 0.001))


def test_in_order_by_the_end() -> None:
    """Everything that waits is sent before it ends; no two events have one time, which names them."""
    receiver = Receiver()
    made = queue(receiver)
    for reason in ("a", "b", "c"):
        made.put(POD, "Normal", reason, "")
    made.start()
    assert made.stop(soon())
    assert receiver.reasons == ["a", "b", "c"]
    assert len({event.time_ns for event in receiver.events}) == 3
    assert (made.size(), made.dropped) == (0, 0)


def test_full() -> None:
    """The oldest are lost, and counted."""
    receiver = Receiver()
    made = queue(receiver, limit=2)
    for reason in ("a", "b", "c"):
        made.put(POD, "Normal", reason, "")
    made.start()
    assert made.stop(soon())
    assert (receiver.reasons, made.dropped) == (["b", "c"], 1)


def test_transient_failures_are_tried_again() -> None:
    """In order."""
    receiver = Receiver(errors.ClusterError("503"), errors.ClusterError("503"))
    made = queue(receiver)
    made.put(POD, "Normal", "a", "")
    made.put(POD, "Normal", "b", "")
    made.start()
    assert made.stop(soon())
    assert (receiver.reasons, receiver.tries, made.dropped) == (["a", "b"], 4, 0)


def test_refused_events_are_dropped() -> None:
    """So is one that a defect of ours can't send; the next one is."""
    receiver = Receiver(errors.Denied("403"), ZeroDivisionError())
    made = queue(receiver)
    for reason in ("a", "b", "c"):
        made.put(POD, "Normal", reason, "")
    made.start()
    assert made.stop(soon())
    assert (receiver.reasons, made.dropped) == (["c"], 2)


def test_no_time_left() -> None:
    """What waits at the deadline is dropped, what is on its way may arrive yet, and the thread is said to be still
    there."""
    receiver = Receiver()
    receiver.gate.clear()
    made = queue(receiver)
    made.put(POD, "Normal", "a", "")
    made.put(POD, "Normal", "b", "")
    made.start()
    while not receiver.tries:
        time.sleep(0.001)
    assert not made.stop(time.monotonic())
    assert (made.size(), made.dropped) == (0, 1)
    receiver.gate.set()
    assert made.stop(soon())
    assert receiver.reasons == ["a"]


def test_stop_before_start() -> None:
    """Is no error."""
    assert queue(Receiver()).stop(time.monotonic())


def test_a_thread_sends_its_own() -> None:
    """What it put since `hold` is sent by `release`, whether the queue's thread runs or not; what others put before
    goes first."""
    receiver = Receiver()
    made = queue(receiver)
    made.put(POD, "Normal", "before", "")
    made.hold()
    made.put(POD, "Normal", "a", "")
    assert receiver.reasons == []
    made.release()
    assert (receiver.reasons, made.size()) == (["before", "a"], 0)


def test_what_does_not_go_is_left_to_the_queue() -> None:
    """One try, then the queue's thread has it, and tries again."""
    receiver = Receiver(errors.ClusterError("503"))
    made = queue(receiver)
    made.hold()
    made.put(POD, "Normal", "a", "")
    made.release()
    assert (receiver.tries, receiver.reasons, made.size()) == (1, [], 1)
    made.start()
    assert made.stop(soon())
    assert receiver.reasons == ["a"]


def test_nobody_waits_for_who_sends() -> None:
    """While enough threads send, another leaves them its events."""
    receiver = Receiver()
    receiver.gate.clear()
    made = queue(receiver)
    threads = [threading.Thread(target=made.release) for _ in range(SENDERS)]
    for number, thread in enumerate(threads, 1):
        made.put(POD, "Normal", "theirs", "")
        thread.start()
        while receiver.tries < number:
            time.sleep(0.001)
    made.hold()
    made.put(POD, "Normal", "own", "")
    made.release()
    assert (receiver.tries, receiver.reasons) == (SENDERS, [])
    receiver.gate.set()
    for thread in threads:
        thread.join(30)
    assert sorted(receiver.reasons) == ["own"] + ["theirs"] * SENDERS
