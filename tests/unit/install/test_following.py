"""The default network over time."""

from __future__ import annotations

from multus.install.following import Following
from multus.install.primary import Candidate, Choice


def choice(path: str) -> Choice:
    return Choice(Candidate(path, None), "first", ("x: bad",)) if path else Choice(None, "none there")


def follow(current: str = "", policy: str = "follow") -> Following:
    return Following(current, policy, 60.0)


def test_waits_until_one_appears() -> None:
    """Without a candidate nothing is generated and the reason is told; the first one that appears is taken."""
    following = follow()
    waiting = following.step(choice(""), False, 0.0)
    assert (waiting.use, waiting.reason) == (None, "NoDefaultNetwork")
    taken = following.step(choice("/10"), False, 5.0)
    assert taken.use is not None
    assert taken.message == "default network is /10: first; not x: bad"
    assert following.current == "/10"


def test_better_one_is_taken_up() -> None:
    """One that comes earlier by name takes the place of the one in use."""
    step = follow("/20").step(choice("/10"), True, 0.0)
    assert step.use is not None
    assert step.use.path == "/10"


def test_better_one_is_reported() -> None:
    """By policy it is reported and nothing changes."""
    following = follow("/20", "report")
    step = following.step(choice("/10"), True, 0.0)
    assert (step.use, step.reason, step.kind) == (None, "BetterDefaultNetwork", "Warning")
    assert "/10 comes before /20" in step.message
    assert following.current == "/20"


def test_one_that_goes_is_waited_for() -> None:
    """A default network that vanishes is not replaced by a later one before its time has passed."""
    following = follow("/10")
    for now in (0.0, 59.0):
        step = following.step(choice("/20"), False, now)
        assert (step.use, step.reason) == (None, "DefaultNetworkMissing")
    assert following.step(choice("/20"), False, 60.0).use is not None
    assert following.current == "/20"


def test_one_that_comes_back() -> None:
    """The time begins anew when it was there in between."""
    following = follow("/10")
    following.step(choice("/20"), False, 0.0)
    following.step(choice("/10"), True, 50.0)
    assert following.step(choice("/20"), False, 70.0).use is None


def test_gone_and_only_reported() -> None:
    """Under the policy `report` a later one is never taken."""
    following = follow("/10", "report")
    following.step(choice("/20"), False, 0.0)
    assert following.step(choice("/20"), False, 1000.0).use is None


def test_gone_and_nothing_else() -> None:
    """Pods wait; the configuration is left as it is."""
    step = follow("/10").step(choice(""), False, 0.0)
    assert (step.use, step.reason) == (None, "DefaultNetworkMissing")
