"""Runs the story and leaves the machine as it was, whatever happens: Ctrl-C, a failure, a run that crashed before."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from multus import errors
from multus.ctl.demo import cleanup, plugin, report, requirements
from multus.ctl.demo.probes import Proof
from multus.ctl.demo.story import Story

if TYPE_CHECKING:
    from multus.ctl.demo.report import Reporter
    from multus.ctl.demo.story import Outcome

#: Ctrl-C, `kill`, and the terminal that goes away.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


INTERRUPTED = "interrupted"


class Options(NamedTuple):
    """The command line: see `multus.ctl.main`."""

    output: str = "text"
    keep: bool = False
    clean: bool = False
    multus: str = ""
    plugins: str = ""


def run(options: Options) -> int:
    """The exit status: 0 when every proof passed. Raises errors.Unavailable when the demo can't begin."""
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    requirements.check_root()
    reporter = report.choose(options.output)
    with cleanup.alone():
        if options.clean:
            _clean_up(reporter)
            return 0
        programs = requirements.check(options.multus, options.plugins)
        removed = cleanup.remove()
        if removed:
            reporter.step(f"removed what an earlier run left: {', '.join(removed)}")
        return _tell(Story(plugin.Runtime(programs), reporter), reporter, keep=options.keep)


def _tell(story: Story, reporter: Reporter, *, keep: bool) -> int:
    problem = ""
    kept = False
    left: tuple[Proof, ...] = ()
    try:
        story.attach()
        kept = keep and not story.outcome.failed
        if not kept:
            story.detach()
    except errors.CniError as error:
        problem = str(error)
    except KeyboardInterrupt:
        problem = INTERRUPTED
    finally:
        # From here on nobody interrupts: what is half removed is worse than a second's wait.
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        if not kept:
            left = _clean_up(reporter)
    outcome = story.outcome._replace(proofs=story.outcome.proofs + left)
    reporter.end(outcome, problem=problem, kept=kept)
    return _status(outcome, problem)


def _clean_up(reporter: Reporter) -> tuple[Proof, ...]:
    cleanup.remove()
    left = cleanup.leftovers()
    proof = Proof("nothing of the demo is left on this machine", not left, ", ".join(left))
    reporter.proof(proof)
    return (proof,)


def _status(outcome: Outcome, problem: str) -> int:
    if problem == INTERRUPTED:
        return 130
    return 1 if problem or outcome.failed else 0


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
