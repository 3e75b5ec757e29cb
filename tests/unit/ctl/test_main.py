"""The command line of multusctl."""

from __future__ import annotations

import pytest

from multus import __version__, errors
from multus.ctl import main
from multus.ctl.demo import command


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the version and succeeds."""
    with pytest.raises(SystemExit) as ended:
        main.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"multusctl {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["demo", "--output", "xml"], ["demo", "--keep", "--clean"]],
    ids=["no command", "unknown command", "unknown output", "keep and clean"],
)
def test_usage_errors(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What can't be meant is a usage error with status 2."""
    with pytest.raises(SystemExit) as ended:
        main.main(arguments)
    assert ended.value.code == 2
    assert "usage: multusctl" in capsys.readouterr().err


def test_options_reach_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo gets what the command line says, and its status is the process's."""
    seen: list[command.Options] = []

    def run(options: command.Options) -> int:
        seen.append(options)
        return 1

    monkeypatch.setattr(command, "run", run)
    assert main.main(["demo", "--output", "json", "--keep", "--multus", "/x/multus", "--plugins", "/x"]) == 1
    assert main.main(["demo", "--clean"]) == 1
    assert seen == [
        command.Options(output="json", keep=True, multus="/x/multus", plugins="/x"),
        command.Options(clean=True),
    ]


def test_unable_to_begin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An error that ends a command is one line on stderr, and status 2."""

    def run(_options: command.Options) -> int:
        raise errors.Unavailable("no plugins")

    monkeypatch.setattr(command, "run", run)
    assert main.main(["demo"]) == main.UNABLE
    assert capsys.readouterr().err == "multusctl: no plugins\n"


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C before anything was made ends with the shell's status for it."""

    def run(_options: command.Options) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", run)
    assert main.main(["demo"]) == 130
