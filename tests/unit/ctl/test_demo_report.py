"""How the demo tells what it saw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from multus.ctl.demo import report
from multus.ctl.demo.plugin import Call
from multus.ctl.demo.probes import Attachment, Proof
from multus.ctl.demo.story import Outcome

if TYPE_CHECKING:
    from multus.ctl.demo.report import Reporter

FOUND = (
    Attachment("web", "eth0", "cluster", ("192.0.2.2/24",), "", 1500, ("default via 192.0.2.1",), "192.0.2.1"),
    Attachment("web", "net1", "default/a", ("198.51.100.2/25",), "", 1500, ("198.51.100.0/25",), ""),
    Attachment("db", "eth0", "cluster", ("192.0.2.3/24",), "", 1500, (), ""),
)
GOOD = Outcome(FOUND, (Proof("ADD web", True, "70 ms"),), (Call("ADD", "web", 70.0),))
BAD = Outcome(FOUND, (Proof("ADD web", True), Proof("ping", False, "0 received")))


def told(reporter: Reporter, outcome: Outcome, problem: str = "", *, kept: bool = False) -> None:
    reporter.heading("Chapter")
    reporter.step("a step")
    for proof in outcome.proofs:
        reporter.proof(proof)
    reporter.table(outcome.attachments)
    reporter.end(outcome, problem=problem, kept=kept)


def test_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """Plain text has columns, a pod's name once, the verdict last, and no control character."""
    told(report.Plain(), GOOD)
    text = capsys.readouterr().out
    assert text.splitlines() == [
        "",
        "Chapter",
        "  a step",
        "  ok    ADD web  [70 ms]",
        "  POD  INTERFACE  NETWORK    ADDRESS          ROUTES",
        "  web  eth0       cluster    192.0.2.2/24     default via 192.0.2.1",
        "       net1       default/a  198.51.100.2/25  198.51.100.0/25",
        "  db   eth0       cluster    192.0.2.3/24",
        "",
        "All 1 proofs passed.",
    ]


def test_failed_proofs_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict says which proofs failed."""
    told(report.Plain(), BAD)
    lines = capsys.readouterr().out.splitlines()
    assert "  FAIL  ping  [0 received]" in lines
    assert lines[-1] == "FAILED: ping"


def test_early_end(capsys: pytest.CaptureFixture[str]) -> None:
    """What ended the story early is the verdict."""
    told(report.Plain(), GOOD, "interrupted")
    assert capsys.readouterr().out.splitlines()[-1] == "FAILED: interrupted"


def test_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Who keeps the pods is told how to remove them."""
    told(report.Plain(), GOOD, kept=True)
    assert "multusctl demo --clean" in capsys.readouterr().out


def test_coloured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal the same words come, with markup characters left alone."""
    monkeypatch.setenv("COLUMNS", "100")
    told(report.Coloured(), GOOD)
    text = capsys.readouterr().out
    for words in ("Chapter", "ok    ADD web  [70 ms]", "default via 192.0.2.1", "All 1 proofs passed."):
        assert words in text


@pytest.mark.parametrize(("outcome", "passed"), [(GOOD, True), (BAD, False)], ids=["good", "bad"])
def test_json(capsys: pytest.CaptureFixture[str], outcome: Outcome, passed: bool) -> None:
    """--output json prints one object and nothing else."""
    told(report.choose("json"), outcome)
    value = json.loads(capsys.readouterr().out)
    assert value["passed"] is passed
    assert value["attachments"][0]["network"] == "cluster"
    assert value["proofs"][0]["name"] == "ADD web"


def test_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours only on a terminal that has them, and not with NO_COLOR."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert type(report.choose("text")) is report.Plain
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert type(report.choose("text")) is report.Coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert type(report.choose("text")) is report.Plain
