"""Undoing what others do to our file, and when to stop."""

from __future__ import annotations

from multus.install.contest import LIMIT, TRUCE, WINDOW, Contest, Move


def fight(contest: Contest, start: float, seconds: float, step: float = 0.25) -> list[Move]:
    """The other side undoes each restoration at once."""
    moves, now = [], start
    while now < start + seconds:
        moves.append(contest.move(now))
        now += step
    return moves


def test_the_first_is_undone_at_once() -> None:
    """No pause before the first restoration."""
    assert Contest().move(100.0) is Move.RESTORE


def test_pauses_grow() -> None:
    """The second waits half a second, the third a whole one."""
    moves = fight(Contest(), 0.0, 2.0)
    assert [number for number, move in enumerate(moves) if move is Move.RESTORE] == [0, 2, 6]


def test_three_times_in_ten_seconds() -> None:
    """After three restorations that were undone it stops, and says so once."""
    contest = Contest()
    moves = fight(contest, 0.0, WINDOW)
    assert moves.count(Move.RESTORE) == LIMIT
    assert moves.count(Move.GIVE_UP) == 1
    assert contest.lost


def test_now_and_then_is_no_contest() -> None:
    """Once in ten seconds is undone for as long as it takes."""
    contest = Contest()
    assert {contest.move(number * WINDOW) for number in range(20)} == {Move.RESTORE}


def test_a_try_a_minute_once_lost() -> None:
    """After that one try each minute, without another report."""
    contest = Contest()
    fight(contest, 0.0, WINDOW)
    moves = fight(contest, WINDOW, 3 * TRUCE)
    assert Move.GIVE_UP not in moves
    assert 2 <= moves.count(Move.RESTORE) <= 3


def test_peace() -> None:
    """A restoration that lasts ends the contest, which is said once; then it is undone three times again."""
    contest = Contest()
    fight(contest, 0.0, WINDOW)
    assert contest.move(100.0) is Move.RESTORE
    assert not contest.untouched(105.0)
    assert contest.untouched(100.0 + WINDOW)
    assert not contest.untouched(101.0 + WINDOW)
    assert fight(contest, 200.0, WINDOW).count(Move.RESTORE) == LIMIT


def test_lost_before() -> None:
    """A contest that the process before lost is over when the file is left alone, which is said once."""
    contest = Contest(lost=True)
    assert not contest.untouched(100.0)
    assert not contest.untouched(100.0 + WINDOW / 2)
    assert contest.untouched(100.0 + WINDOW)
    assert not contest.untouched(101.0 + WINDOW)


def test_lost_before_and_going_on() -> None:
    """It is restored once and no more, and not said again."""
    moves = fight(Contest(lost=True), 0.0, WINDOW)
    assert moves.count(Move.RESTORE) == 1
    assert Move.GIVE_UP not in moves
