"""CNI_ARGS."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import arguments
from multus.cni.arguments import PodArgs
from unit.cni import strategies

#: As containerd and CRI-O set it.
KUBERNETES = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u1"
POD = PodArgs("default", "web", "c1", "u1")


def test_parse() -> None:
    """Pairs come in order; a value may be empty, an empty text has none."""
    assert arguments.parse("A=1;B=;A=2") == (("A", "1"), ("B", ""), ("A", "2"))
    assert arguments.parse("") == ()


@pytest.mark.parametrize("text", ["A", "A=1;", ";", "=1", "A=1=2", "A=1;B"])
def test_invalid_pair(text: str) -> None:
    """A pair without exactly one equals sign is refused in upstream's words."""
    with pytest.raises(errors.InvalidEnvironment, match='ARGS: invalid pair "') as caught:
        arguments.parse(text)
    assert caught.value.code == 4


_WORDS = st.text(alphabet=st.characters(blacklist_characters=";=", blacklist_categories=["Cs"]))


@strategies.MODEST
@given(st.lists(st.tuples(_WORDS.filter(bool), _WORDS)))
def test_round_trip(pairs: list[tuple[str, str]]) -> None:
    """What is rendered parses back, whatever characters are in it."""
    assert arguments.parse(arguments.render(tuple(pairs))) == tuple(pairs)


@strategies.MODEST
@given(st.text(alphabet="ab=;\n\0ü") | st.text())
def test_any_text(text: str) -> None:
    """Whatever is set, pairs or our error come out, the error on one line."""
    try:
        pairs = arguments.parse(text)
        arguments.pod(pairs)
    except errors.InvalidEnvironment as error:
        assert error.message.isprintable()  # noqa: PT017
    else:
        assert arguments.render(pairs) == text


def test_pod() -> None:
    """The pod that a Kubernetes runtime names."""
    assert arguments.pod(arguments.parse(KUBERNETES)) == POD


def test_pod_without_arguments() -> None:
    """No arguments, no pod."""
    assert arguments.pod(()) == PodArgs("", "", "", "")


def test_unknown_key() -> None:
    """A key we don't know is refused by name unless IgnoreUnknown is set."""
    with pytest.raises(errors.InvalidEnvironment, match=r'ARGS: unknown args \["FOO=bar" "X=y"\]'):
        arguments.pod(arguments.parse("FOO=bar;K8S_POD_NAME=web;X=y"))


@pytest.mark.parametrize("value", ["1", "true", "TRUE"])
def test_ignore_unknown(value: str) -> None:
    """IgnoreUnknown is a boolean as Go reads it."""
    assert arguments.pod(arguments.parse(f"FOO=bar;IgnoreUnknown={value};K8S_POD_NAME=web")).name == "web"


@pytest.mark.parametrize("value", ["0", "false", "", "yes"])
def test_unknown_not_ignored(value: str) -> None:
    """Any other value of IgnoreUnknown ignores nothing."""
    with pytest.raises(errors.InvalidEnvironment, match="unknown args"):
        arguments.pod(arguments.parse(f"FOO=bar;IgnoreUnknown={value}"))


def test_known_keys() -> None:
    """IP is known without IgnoreUnknown, as upstream has it."""
    assert arguments.pod(arguments.parse("IP=10.1.0.5;K8S_POD_NAME=web")).name == "web"


def test_delegate() -> None:
    """A delegate gets upstream's order, whatever the runtime's was."""
    shuffled = arguments.parse(";".join(reversed(KUBERNETES.split(";"))))
    expected = KUBERNETES.replace("IgnoreUnknown=1", "IgnoreUnknown=true")
    assert arguments.render(arguments.for_delegate(shuffled, POD)) == expected


def test_delegate_keeps_further_keys() -> None:
    """The runtime's own keys follow, once each, then what the element asks for."""
    given_args = arguments.parse(KUBERNETES + ";FOO=1;BAR=2;FOO=3")
    made = arguments.for_delegate(given_args, POD, mac="02:00:00:00:00:01", ips=["10.1.0.5/24", "fd00::5/64"])
    assert made[5:] == (("FOO", "3"), ("BAR", "2"), ("MAC", "02:00:00:00:00:01"), ("IP", "10.1.0.5/24,fd00::5/64"))


def test_delegate_element_wins() -> None:
    """An address of the element replaces the runtime's, and no key comes twice."""
    made = arguments.for_delegate(arguments.parse("IP=10.1.0.9;MAC=x"), PodArgs(), mac="m", ips=["10.1.0.5"])
    assert [value for key, value in made if key in ("IP", "MAC")] == ["10.1.0.5", "m"]
    assert len({key for key, _ in made}) == len(made)
