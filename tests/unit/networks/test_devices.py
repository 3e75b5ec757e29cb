"""Devices handed to attachments: once each, by position or by choice, told to every plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import config
from multus.networks import capabilities, delegates, devices, plan, record
from unit.networks import making

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multus.cni.rawjson import Json
    from multus.networks.delegates import Delegate

VF = "vendor.example/vf"


def network(name: str, resource: str = VF, raw: Json | None = None, *, master: bool = False, **asked: Any) -> Delegate:
    """A delegate of a NAD that names `resource`."""
    found = config.from_object({"name": name, **(raw if raw is not None else making.BRIDGE)}, "test")
    made = making.nad(name=name, resource_name=resource)
    return delegates.from_nad(made, found, making.element(name, **asked), master=master)


def ids(found: Sequence[Delegate]) -> list[str]:
    """The device of each."""
    return [delegate.device_id for delegate in found]


def test_by_position() -> None:
    """Networks of one resource get its devices in order; another resource has its own."""
    found = [network("a"), network("b", "x/y"), network("c"), making.delegate("plain")]
    assert ids(devices.assign(found, {VF: ["1", "2"], "x/y": ["1"]})) == ["1", "1", "2", ""]


def test_once_over_default_and_further_networks() -> None:
    """The default network, a further default without an element and the annotation's networks share one supply."""
    further = network("further")._replace(selection=None)
    found = [network("default", master=True), further, network("a")]
    assert ids(devices.assign(found, {VF: ["1", "2", "3"]})) == ["1", "2", "3"]


@pytest.mark.parametrize("asked", [{"device_id": "2"}, {"cni_args": {"device": "2"}}])
def test_a_choice_comes_first(asked: Json) -> None:
    """An element that chooses its device gets it, whatever its position; the others share what is left."""
    found = [network("a"), network("b", **asked), network("c")]
    assert ids(devices.assign(found, {VF: ["1", "2", "3"]})) == ["1", "2", "3"]
    assert ids(devices.assign(found, {VF: ["2", "1", "3"]})) == ["1", "2", "3"]


def test_both_ways_of_choosing_may_agree() -> None:
    """`deviceID` and `device` of cni-args with one value are one choice."""
    found = [network("a", device_id="2", cni_args={"device": "2"})]
    assert ids(devices.assign(found, {VF: ["1", "2"]})) == ["2"]


def test_choices_that_differ_are_refused() -> None:
    """`deviceID` and `device` of cni-args with two values."""
    with pytest.raises(errors.AnnotationError, match="name different devices"):
        devices.assign([network("a", device_id="1", cni_args={"device": "2"})], {VF: ["1", "2"]})


@pytest.mark.parametrize("value", [1, "", [], {}])
def test_a_choice_is_text(value: object) -> None:
    """`device` of any other type, or empty, is refused naming the network."""
    with pytest.raises(errors.AnnotationError, match="network default/a: cni-args: device must be the id"):
        devices.assign([network("a", cni_args={"device": value})], {VF: ["1"]})


@pytest.mark.parametrize("tolerant", [False, True])
def test_a_choice_must_be_the_pods(tolerant: bool) -> None:
    """A device of that resource which the pod doesn't own is refused, naming those it owns; another resource's too."""
    with pytest.raises(
        errors.AnnotationError, match=r'device "7" of resource ".*" is not the pod\'s; it owns "1", "2"'
    ):
        devices.assign([network("a", device_id="7")], {VF: ["1", "2"], "x/y": ["7"]}, tolerant=tolerant)


def test_a_choice_of_two_networks() -> None:
    """One device chosen twice is refused, naming both networks."""
    found = [network("a", device_id="1"), network("b", device_id="1")]
    with pytest.raises(errors.AnnotationError, match=r"default/b: .* chosen by network default/a too"):
        devices.assign(found, {VF: ["1", "2"]})


def test_shared_device() -> None:
    """A device that was given twice (two shares of one) is handed out twice."""
    found = [network("a", device_id="1"), network("b", device_id="1")]
    assert ids(devices.assign(found, {VF: ["1", "1"]})) == ["1", "1"]


def test_device_of_cni_args_means_nothing_without_a_resource() -> None:
    """A network without a resource may use cni-args as it likes."""
    found = making.delegate(cni_args={"device": 5})
    assert devices.assign([found], {VF: ["1"]}) == [found]


@pytest.mark.parametrize("owned", [{}, {VF: []}, {VF: ["1"]}])
def test_shortage(owned: dict[str, list[str]]) -> None:
    """Fewer devices than networks: an error with the network, the resource and both numbers."""
    found = [network("a"), network("b")]
    words = rf'default/[ab]: no device of resource "{VF}" is left: .* need 2, .* own {len(owned.get(VF, []))}'
    with pytest.raises(errors.DeviceShortage, match=words):
        devices.assign(found, owned)


def test_shortage_tolerated() -> None:
    """Upstream's silence: networks beyond the last device go without, in order."""
    found = [network("a"), network("b")]
    assert ids(devices.assign(found, {VF: ["1"]}, tolerant=True)) == ["1", ""]


def test_a_choice_where_nothing_is_owned_is_tolerated() -> None:
    """Upstream's silence: the element's deviceID then reaches the plugin as a capability argument, as upstream."""
    (found,) = devices.assign([network("a", device_id="7")], {}, tolerant=True)
    assert found.device_id == ""
    assert capabilities.capability_args(found, {})["deviceID"] == "7"


def test_every_plugin_is_told() -> None:
    """`deviceID` and `pciBusID` are in each plugin of a list, over what its author wrote; other keys stay."""
    raw = {"cniVersion": "1.0.0", "plugins": [{"type": "sriov", "deviceID": "old", "vlan": 5}, {"type": "tuning"}]}
    (found,) = devices.assign([network("a", raw=raw)], {VF: ["0000:03:02.1"]})
    told = {"deviceID": "0000:03:02.1", "pciBusID": "0000:03:02.1"}
    assert found.config.plugins == ({"type": "sriov", "vlan": 5, **told}, {"type": "tuning", **told})
    assert found.config.raw["plugins"] == list(found.config.plugins)


def test_a_single_plugin_is_told() -> None:
    """The same in a configuration without a list."""
    (found,) = devices.assign([network("a")], {VF: ["1"]})
    assert found.config.raw == {"name": "a", **making.BRIDGE, "deviceID": "1", "pciBusID": "1"}


def test_the_device_is_a_capability_argument() -> None:
    """Of every network with a device, the default one beside the runtime's own arguments."""
    found = devices.assign([network("d", master=True), network("a")], {VF: ["1", "2"]})
    assert capabilities.capability_args(found[0], {"portMappings": []}) == {"portMappings": [], "deviceID": "1"}
    assert capabilities.capability_args(found[1], {"portMappings": []}) == {"deviceID": "2"}


def test_a_device_needs_no_capability() -> None:
    """Plugins find a device in their configuration, so nobody is warned when none declares the capability; a
    `deviceID` without a resource has no other way."""
    (found,) = devices.assign([network("a", device_id="1")], {VF: ["1"]})
    assert capabilities.undeclared(found) == ()
    assert capabilities.undeclared(making.delegate(device_id="1")) == ("deviceID",)


# ── device information files ────────────────────────────────────────────────────────────────────────────────────


def planned(*found: Delegate) -> plan.Plan:
    """A plan of the default network and `found`."""
    conf = making.conf(runtimeConfig={"portMappings": []})
    everything = [making.default(), *found]
    return plan.make(everything, conf=conf, runtime_ifname="eth0", pod_args=making.POD, args=())


def files(made: plan.Plan) -> list[str]:
    """The path each attachment is given."""
    return [attachment.capability_args.get("CNIDeviceInfoFile", "") for attachment in made.attachments]


def test_files_of_attachments() -> None:
    """An attachment with a device, one whose element names a device, one whose plugin declares the capability; no
    other."""
    declaring = making.delegate("v", raw={**making.BRIDGE, "capabilities": {"CNIDeviceInfoFile": True}})
    equipped = devices.assign([network("a")], {VF: ["1"]})
    made = planned(*equipped, making.delegate("b", device_id="2"), declaring, making.delegate("c"))
    names = ["", "default-a-c1_net1", "default-b-c1_net2", "default-v-c1_net3", ""]
    assert files(devices.with_info_files(made, "c1", "/run/d")) == [name and f"/run/d/cni/{name}" for name in names]


def test_a_name_too_long_for_a_file() -> None:
    """No path then; the attachment itself is none the worse."""
    made = planned(*devices.assign([network("a" * 230)], {VF: ["1"]}))
    assert files(devices.with_info_files(made, "c" * 64, "/run/d")) == ["", ""]


def test_the_runtimes_own_path_stays() -> None:
    """A runtime that passes a path for the default network keeps it."""
    conf = making.conf(runtimeConfig={"CNIDeviceInfoFile": "/own"})
    found = devices.assign([network("d", master=True)], {VF: ["1"]})
    made = plan.make(found, conf=conf, runtime_ifname="eth0", pod_args=making.POD, args=())
    assert files(devices.with_info_files(made, "c1", "/run/d")) == ["/own"]


def test_the_file_of_a_recorded_attachment() -> None:
    """What DEL removes is named after the attachment, never by a path in the record; upstream's records count."""
    made = devices.with_info_files(planned(*devices.assign([network("a")], {VF: ["1"]})), "c1", "/run/d")
    eth0, net1 = record.from_plan(made, "/ns", making.POD).entries
    assert devices.info_file(eth0, "c1") == ""
    assert devices.info_file(net1, "c1") == "default-a-c1_net1"
    bent = net1._replace(capability_args={"CNIDeviceInfoFile": "/etc/passwd"}, asked={})
    assert devices.info_file(bent, "c1") == "default-a-c1_net1"
    upstreams = net1._replace(capability_args={}, asked={"deviceID": "1"})
    assert devices.info_file(upstreams, "c1") == "default-a-c1_net1"


# ── properties ──────────────────────────────────────────────────────────────────────────────────────────────────

RESOURCES = st.sampled_from(["", "a/b", "c/d"])
WISH = st.sampled_from(["", "1", "2", "9"])
OWNED = st.dictionaries(RESOURCES, st.lists(st.sampled_from("1234"), max_size=4, unique=True), max_size=3)


@making.THOROUGH
@given(wanted=st.lists(st.tuples(RESOURCES, WISH), max_size=5), owned=OWNED, tolerant=st.booleans())
def test_each_device_once(wanted: list[tuple[str, str]], owned: dict[str, list[str]], tolerant: bool) -> None:
    """Whatever is asked for: only the pod's devices are handed out, each once, to networks of their resource, choices
    granted; and unless shortage is tolerated, to all of them."""
    found = [network(f"n{number}", one, device_id=wish) for number, (one, wish) in enumerate(wanted)]
    try:
        equipped = devices.assign(found, owned, tolerant=tolerant)
    except errors.InvalidConfig:
        return
    got = [(one.resource_name, one.device_id) for one in equipped if one.device_id]
    assert len(got) == len(set(got))
    assert all(device in owned[resource] for resource, device in got)
    for (resource, wish), one in zip(wanted, equipped, strict=True):
        assert one.device_id == "" or resource
        if resource and not tolerant:
            assert one.device_id == wish if wish else one.device_id
