"""The reflector's decisions, over a feed that plays back pages and changes."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.kubernetes.backoff import Backoff
from multus.kubernetes.reflector import Reflector
from multus.kubernetes.watchstream import OPENED, Change, Expired, Failed, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAILED = Failed(errors.ClusterError("500"))


def named(name: str, value: str = "", version: str = "") -> dict[str, Any]:
    """An object."""
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": version}, "value": value}


class Playback:
    """A feed that gives `lists` and `watches` in turn (an exception is raised where it comes), then waits."""

    def __init__(self, lists: list[list[Any]], watches: list[list[Any]]) -> None:
        self.lists = lists
        self.watches = watches
        self.asked: list[str] = []
        self.aborted = threading.Event()
        self.idle = threading.Event()
        self.closed = 0

    def pages(self) -> Iterator[Page]:
        """The next list."""
        self.asked.append("list")
        yield from self._played(self.lists)

    def changes(self, version: str) -> Iterator[Change]:
        """The next watch."""
        self.asked.append(version)
        yield from self._played(self.watches)

    def abort(self) -> None:
        """Ends the waiting."""
        self.aborted.set()

    def close(self) -> None:
        """Counted."""
        self.closed += 1

    def _played(self, turns: list[list[Any]]) -> Iterator[Any]:
        if not turns:
            self.idle.set()
            self.aborted.wait(30)
            raise FAILED
        for item in turns.pop(0):
            if isinstance(item, Exception):
                raise item
            yield item


class Pauses(Backoff):
    """Keeps what was asked for, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def reset(self) -> None:
        """Kept."""
        self.seen.append("reset")

    def next(self, asked: float | None = None) -> float:
        """Kept."""
        self.seen.append("pause" if asked is None else f"pause {asked}")
        return 0.0


def value(raw: dict[str, Any]) -> str | None:
    """The part of an object that is kept."""
    found: str = raw["value"]
    return None if found == "unusable" else found


def played(lists: list[list[Any]], watches: list[list[Any]]) -> tuple[Reflector[str], Playback, Pauses]:
    """A reflector that has taken all of this in, and has ended."""
    feed, pauses = Playback(lists, watches), Pauses()
    reflector = Reflector("test", feed, value, backoff=pauses)
    reflector.start()
    assert feed.idle.wait(30)
    assert reflector.stop(time.monotonic() + 30)
    return reflector, feed, pauses


def page(*items: dict[str, Any], version: str = "7") -> Page:
    """A page of a list."""
    return Page(list(items), version)


def test_list_and_changes() -> None:
    """All pages, then each change, beginning at the list's version."""
    reflector, feed, _ = played(
        [[page(named("a", "1"), named("b", "1")), page(named("c", "1"))]],
        [[Change("MODIFIED", named("a", "2", "8")), Change("DELETED", named("b", "", "9"))], []],
    )
    assert [reflector.get(f"ns/{name}") for name in "abc"] == ["2", None, "1"]
    assert feed.asked[:3] == ["list", "7", "9"]
    assert reflector.synced.is_set()
    assert reflector.size() == 2


def test_bookmarks_only_move_the_version() -> None:
    """What they hold is no object."""
    bookmark = Change("BOOKMARK", {"metadata": {"resourceVersion": "99"}})
    reflector, feed, _ = played([[page(named("a", "1"))]], [[bookmark], []])
    assert feed.asked[2] == "99"
    assert reflector.size() == 1


def test_expired_lists_again() -> None:
    """What the second list lacks is gone."""
    reflector, feed, _ = played(
        [[page(named("a", "1"), named("b", "1"))], [page(named("b", "2"), version="20")]], [[Expired()], []]
    )
    assert feed.asked[:4] == ["list", "7", "list", "20"]
    assert [reflector.get("ns/a"), reflector.get("ns/b")] == [None, "2"]


def test_incomplete_list_takes_nothing_away() -> None:
    """Neither objects nor the synced state come from half a list."""
    feed, pauses = Playback([[page(named("a", "1")), FAILED]], []), Pauses()
    reflector: Reflector[str] = Reflector("test", feed, value, backoff=pauses)
    reflector.start()
    assert feed.idle.wait(30)
    assert not reflector.synced.is_set()
    assert reflector.stop(time.monotonic() + 30)
    reflector, _, _ = played([[page(named("a", "1"))], [page(named("b", "1")), FAILED]], [[Expired()]])
    assert reflector.get("ns/a") == "1"


def test_unchanged_objects_stay_the_same() -> None:
    """A list that says what is known makes nothing new."""
    first, second = "".join(["long", "value"]), "".join(["long", "value"])
    reflector, _, _ = played([[page(named("a", first))], [page(named("a", second))]], [[Expired()]])
    assert reflector.get("ns/a") is first


def test_unusable_objects_are_not_kept() -> None:
    """Nor is what they were before; what is no object is passed over."""
    change = Change("MODIFIED", named("a", "unusable", "8"))
    reflector, _, _ = played([[page(named("a", "1"), {"metadata": 7}, {})]], [[change]])
    assert reflector.size() == 0


@pytest.mark.parametrize(
    ("watch", "expected"),
    [
        ([FAILED], ["pause"]),
        ([Failed(errors.ClusterError("429"), 5.0)], ["pause 5.0"]),
        ([], ["pause"]),
        ([Change("BOOKMARK", {}), FAILED], ["reset", "pause"]),
        ([Change("BOOKMARK", {})], ["reset", "pause"]),
        ([Expired()], ["pause"]),
        ([ZeroDivisionError()], ["pause"]),
    ],
)
def test_pauses(watch: list[Any], expected: list[str]) -> None:
    """Pauses grow until a watch has told something; the server's wish is passed on."""
    _, _, pauses = played([[page()], [page()]], [watch])
    assert pauses.seen[: len(expected)] == expected


def test_failure_that_asks_for_a_list() -> None:
    """The version is of no use to the server."""
    _, feed, _ = played([[page()], [page()]], [[Failed(errors.ClusterError("400"), anew=True)]])
    assert feed.asked[:3] == ["list", "7", "list"]


def test_other_failures_resume() -> None:
    """Without a list."""
    _, feed, _ = played([[page()]], [[FAILED], [FAILED]])
    assert feed.asked[:4] == ["list", "7", "7", "7"]


def test_age() -> None:
    """From the last word of the server on."""
    now = [100.0]
    feed = Playback([[page()]], [])
    reflector: Reflector[str] = Reflector("test", feed, value, clock=lambda: now[0])
    assert reflector.age() == float("inf")
    reflector.start()
    assert feed.idle.wait(30)
    now[0] = 130.0
    assert reflector.age() == 30.0
    assert reflector.stop(time.monotonic() + 30)
    assert feed.closed == 1


def test_age_counts_from_a_watch_that_tells_nothing() -> None:
    """That the server accepted it is a word, but no reason to begin anew at once."""
    now = [100.0]
    feed, pauses = Playback([[page()]], [[Change(OPENED, {}), FAILED]]), Pauses()
    reflector: Reflector[str] = Reflector("test", feed, value, clock=lambda: now[0], backoff=pauses)
    original = feed.changes

    def changes(version: str) -> Iterator[Change]:
        now[0] += 50.0
        return original(version)

    feed.changes = changes  # type: ignore[method-assign] # time passes between list and watch
    reflector.start()
    assert feed.idle.wait(30)
    assert reflector.age() == 50.0
    assert pauses.seen[0] == "pause"
    assert reflector.stop(time.monotonic() + 30)


def test_stop_interrupts_a_pause() -> None:
    """However long it is."""
    feed = Playback([[FAILED]], [])
    reflector: Reflector[str] = Reflector("test", feed, value, backoff=Backoff(1000, 1000))
    reflector.start()
    assert reflector.stop(time.monotonic() + 30)


def test_stop_before_start() -> None:
    """Is no error."""
    assert Reflector("test", Playback([], []), value).stop(time.monotonic())


def test_stop_gives_up_at_the_deadline() -> None:
    """And says so; the thread never keeps the process from ending."""
    feed = Playback([], [])
    release: Callable[[], None] = feed.abort
    feed.abort = lambda: None  # type: ignore[method-assign] # a feed that can't be interrupted
    reflector = Reflector("test", feed, value)
    reflector.start()
    assert feed.idle.wait(30)
    assert not reflector.stop(time.monotonic())
    release()
    assert reflector.stop(time.monotonic() + 30)


def test_backoff_grows_to_its_bound() -> None:
    """Each pause is between a half and the whole of the step; afterwards it is short again."""
    backoff = Backoff(1.0, 10.0)
    for whole in (1, 2, 4, 8, 10, 10):
        assert whole / 2 <= backoff.next() <= whole
    backoff.reset()
    assert backoff.next() <= 1


def test_backoff_heeds_the_server() -> None:
    """Within reason."""
    assert 20 <= Backoff(1.0, 10.0).next(20) <= 25
    assert Backoff(1.0, 10.0).next(1e9) <= 75
    assert Backoff(5.0, 10.0).next(0.1) >= 2.5
