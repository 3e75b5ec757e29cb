"""The CNI_* variables of a call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import environment
from unit.cni import strategies

FULL = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/x",
    "CNI_IFNAME": "eth0",
    "CNI_ARGS": "K=V",
    "CNI_PATH": "/opt/cni/bin:/usr/lib/cni",
}


def test_everything() -> None:
    """Every variable has its member."""
    assert environment.from_environ({**FULL, "HOME": "/root"}) == environment.Environment(
        "ADD", "c1", "/run/netns/x", "eth0", "K=V", ("/opt/cni/bin", "/usr/lib/cni")
    )


@pytest.mark.parametrize(
    ("verb", "needed"),
    [
        ("ADD", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]),
        ("CHECK", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]),
        ("DEL", ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"]),
        ("GC", ["CNI_PATH"]),
        ("STATUS", ["CNI_PATH"]),
        ("VERSION", []),
    ],
)
def test_required(verb: str, needed: list[str]) -> None:
    """Each verb needs its own variables: those suffice, and all that are missing are named at once."""
    environ = {"CNI_COMMAND": verb, **{name: FULL[name] for name in needed}}
    assert environment.from_environ(environ).command == verb
    if needed:
        with pytest.raises(errors.InvalidEnvironment) as caught:
            environment.from_environ({"CNI_COMMAND": verb, "CNI_ARGS": ""})
        assert (caught.value.code, caught.value.message) == (4, f"required env variables [{','.join(needed)}] missing")


@pytest.mark.parametrize("name", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"])
def test_empty_is_missing(name: str) -> None:
    """An empty variable counts as missing."""
    with pytest.raises(errors.InvalidEnvironment, match=rf"required env variables \[{name}\] missing"):
        environment.from_environ({**FULL, name: ""})


def test_no_command() -> None:
    """Without CNI_COMMAND nothing else is asked for."""
    with pytest.raises(errors.InvalidEnvironment, match=r"required env variables \[CNI_COMMAND\] missing"):
        environment.from_environ({})


@pytest.mark.parametrize("command", ["add", "UPDATE", "ADD\n"])
def test_unknown_command(command: str) -> None:
    """Verbs are those of the specification, to the letter."""
    with pytest.raises(errors.InvalidEnvironment, match="unknown CNI_COMMAND") as caught:
        environment.from_environ({**FULL, "CNI_COMMAND": command})
    assert "\n" not in caught.value.message


def test_all_malformed_are_named() -> None:
    """The message has the names of all invalid variables (specification, error code 4)."""
    with pytest.raises(errors.InvalidEnvironment) as caught:
        environment.from_environ({**FULL, "CNI_CONTAINERID": "../etc", "CNI_IFNAME": "a/b"})
    assert 'CNI_CONTAINERID "../etc": invalid characters in containerID' in caught.value.message
    assert 'CNI_IFNAME "a/b": interface name contains /' in caught.value.message


def test_delete_checks_names_too() -> None:
    """A DEL names files by the container id: it is checked as strictly as ADD's."""
    with pytest.raises(errors.InvalidEnvironment):
        environment.from_environ({**FULL, "CNI_COMMAND": "DEL", "CNI_CONTAINERID": ".."})


def test_path() -> None:
    """Empty parts of CNI_PATH name no directory."""
    assert environment.from_environ({**FULL, "CNI_PATH": ":/a::/b:"}).path == ("/a", "/b")


@pytest.mark.parametrize("text", ["a", "0", "c1-2_3.4", "A" * 300])
def test_good_names(text: str) -> None:
    """Container ids and network names: an alphanumeric, then alphanumerics, ``_``, ``.`` and ``-``."""
    assert environment.check_container_id(text) == text
    assert environment.check_network_name(text) == text


@pytest.mark.parametrize("text", ["", "-a", "_a", ".a", "..", "a/b", "a b", "a\n", "ä", "٣", "a\0", "\ud800"])
def test_bad_names(text: str) -> None:
    """Anything else is refused: the environment's with code 4, the configuration's with code 7."""
    with pytest.raises(errors.InvalidEnvironment) as of_id:
        environment.check_container_id(text)
    with pytest.raises(errors.InvalidConfig) as of_name:
        environment.check_network_name(text)
    assert (of_id.value.code, of_name.value.code) == (4, 7)


@pytest.mark.parametrize("text", ["eth0", "net1", "a" * 15, "eth0.100", "br-lan", "ä" * 7, "-", "..."])
def test_good_ifnames(text: str) -> None:
    """What the kernel takes as the name of an interface."""
    assert environment.check_ifname(text) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("a" * 16, "too long"),
        ("ä" * 8, "too long"),
        (".", "is . or .."),
        ("..", "is . or .."),
        ("a/b", "contains / or :"),
        ("a:b", "contains / or :"),
        ("a b", "whitespace"),
        ("a\tb", "whitespace"),
        ("a\u2003b", "whitespace"),
        ("a\0b", "whitespace"),
        ("\x1b[2J", "whitespace"),
        ("a\ud800", "whitespace"),
        ("net%d", "contains %"),
    ],
)
def test_bad_ifnames(text: str, problem: str) -> None:
    """What it does not take, what would garble a terminal, and the patterns it would make another name of."""
    with pytest.raises(errors.InvalidEnvironment, match=problem) as caught:
        environment.check_ifname(text)
    assert caught.value.code == 4


def test_shown() -> None:
    """Strangers' text is quoted, escaped and bounded in messages."""
    assert environment.shown("a\n\x1b") == '"a\\n\\x1b"'
    assert environment.shown("x" * 81) == '"' + "x" * 77 + '..."'


@strategies.MODEST
@given(st.dictionaries(st.sampled_from(sorted(FULL)), st.text() | st.sampled_from(sorted(FULL.values()))))
def test_any_environment(environ: dict[str, str]) -> None:
    """Whatever is set, only our error comes out, on one line."""
    try:
        found = environment.from_environ(environ)
    except errors.InvalidEnvironment as error:
        assert error.message.isprintable()  # noqa: PT017
    else:
        assert found.command in environment.REQUIRED
