"""No annotation, whatever it is, does more than be refused; what is accepted is safe to use."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import arguments, environment
from multus.networks import addresses, elementkeys, names, selection
from unit.networks.making import POD, THOROUGH, objects, values

KEYS = [*elementkeys.KEYS, "hostPort", "containerPort", "protocol", "hostIP", "ingressRate", "ingressBurst", "Name"]

PLAUSIBLE = st.fixed_dictionaries(
    {"name": st.sampled_from(["net-a", "net.b", "x"])},
    optional={
        "namespace": st.sampled_from(["default", "other", ""]),
        "ips": st.lists(st.ip_addresses().map(str), max_size=3),
        "mac": st.sampled_from(["02:23:45:67:89:01", "0223.4567.8901", "", "x"]),
        "interface": st.text(max_size=17),
        "default-route": st.lists(st.ip_addresses().map(str), max_size=3),
        "portMappings": st.lists(
            st.fixed_dictionaries({"hostPort": st.integers(-1, 65537), "containerPort": st.integers(1, 65535)})
        ),
        "bandwidth": st.dictionaries(st.sampled_from(["ingressRate", "ingressBurst"]), st.integers(-5, 5)),
        "cni-args": st.dictionaries(st.text(max_size=3), values(), max_size=3),
    },
)


def parsed(text: str) -> tuple[selection.Selection, ...]:
    """The elements, none when the annotation is refused as it should be."""
    try:
        return selection.parse(text, "default")
    except errors.AnnotationError as error:
        check_refusal(error)
        return ()


def check_refusal(error: errors.AnnotationError) -> None:
    """A message is one line."""
    assert error.message.isprintable()


def check(element: selection.Selection) -> None:
    """Nothing of an element can leave the place it is put into."""
    assert names.is_subdomain(element.name)
    assert names.is_label(element.namespace)
    assert not element.interface or environment.ifname_problem(element.interface) == ""
    assert all(addresses.gateway_problem(text) == "" for text in element.default_route or ())
    pairs = arguments.for_delegate((("IgnoreUnknown", "1"),), POD, element.mac, element.ips)
    assert arguments.parse(arguments.render(pairs)) == pairs
    assert arguments.pod(pairs) == POD


@THOROUGH
@given(st.text())
def test_any_text(text: str) -> None:
    """Text of every kind."""
    for element in parsed(text):
        check(element)


@THOROUGH
@given(st.text(alphabet="ab-/@, .;=%[{\"'\\\n"))
def test_short_like_text(text: str) -> None:
    """Text of the short form's own characters."""
    for element in parsed(text):
        check(element)


@THOROUGH
@given(st.lists(objects(KEYS) | values(), max_size=4))
def test_any_json(members: list[Any]) -> None:
    """JSON of every kind under the keys that are known."""
    for element in parsed(json.dumps(members)):
        check(element)


@THOROUGH
@given(st.lists(PLAUSIBLE, max_size=3))
def test_plausible_json(members: list[dict[str, Any]]) -> None:
    """Nearly correct elements."""
    for element in parsed(json.dumps(members)):
        check(element)


@THOROUGH
@given(st.text())
def test_default_network(text: str) -> None:
    """The other annotation."""
    try:
        check(selection.parse_default(text, "kube-system"))
    except errors.AnnotationError as error:
        check_refusal(error)
