"""Network configurations: what is read from them, and that everything else stays as it was written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.cni import config, rawjson
from unit.cni import strategies

CONF: dict[str, Any] = {"cniVersion": "0.4.0", "name": "net", "type": "bridge", "ipam": {"type": "host-local"}}
LIST: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "net",
    "plugins": [{"type": "bridge", "keyA": ["x"]}, {"type": "tuning", "capabilities": {"mac": True, "ips": False}}],
}


def of(**keys: Any) -> dict[str, Any]:
    """A list with `keys` changed."""
    return {**LIST, **keys}


def sent(found: config.NetworkConfig, plugin: int = 0, **parameters: Any) -> Any:
    """The request of one plugin, decoded."""
    return json.loads(config.request(found, found.plugins[plugin], **parameters))


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_conf() -> None:
    """A conf is a network of one plugin."""
    found = config.from_object(CONF, "it")
    assert (found.name, found.cni_version, found.is_list, found.types) == ("net", "0.4.0", False, ("bridge",))
    assert (found.disable_check, found.disable_gc, found.load_only_inlined) == (False, False, False)
    assert found.raw == CONF


def test_list() -> None:
    """A conflist has its plugins in order."""
    found = config.from_object(LIST, "it")
    assert (found.is_list, found.types) == (True, ("bridge", "tuning"))
    assert found.plugins == tuple(LIST["plugins"])


def test_type_decides() -> None:
    """With both keys it is a conf, as upstream has it."""
    assert not config.from_object({**LIST, "type": "bridge"}, "it").is_list


def test_nothing_but_a_type() -> None:
    """Name and version may be missing: upstream takes them from elsewhere."""
    found = config.loads('{"type":"bridge"}', "it")
    assert (found.name, found.cni_version) == ("", "")


def test_several_versions() -> None:
    """The highest supported version counts."""
    assert config.from_object(of(cniVersions=["1.1.0", "9.0.0"]), "it").cni_version == "1.1.0"


@pytest.mark.parametrize("key", ["disableCheck", "disableGC", "loadOnlyInlinedPlugins"])
@pytest.mark.parametrize(("value", "expected"), [(True, True), ("true", True), ("False", False), (None, False)])
def test_flags(key: str, value: Any, expected: bool) -> None:
    """The booleans of a list, which old configurations write as text."""
    found = config.from_object(of(**{key: value}), "it")
    members = {
        "disableCheck": found.disable_check,
        "disableGC": found.disable_gc,
        "loadOnlyInlinedPlugins": found.load_only_inlined,
    }
    assert members.pop(key) is expected
    assert not any(members.values())


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param({}, "must have the 'type' or 'plugins' field", id="empty"),
        pytest.param({"type": ""}, "must have the 'type' or 'plugins' field", id="empty type"),
        pytest.param({"type": 5}, "type must be a string, not a number", id="type a number"),
        pytest.param({"type": []}, "type must be a string, not a list", id="type a list"),
        pytest.param({"type": "../bridge"}, r'invalid plugin name: "../bridge"', id="path up"),
        pytest.param({"type": "/bin/sh"}, "invalid plugin name", id="absolute path"),
        pytest.param({"type": "a\\b"}, "invalid plugin name", id="backslash"),
        pytest.param({"type": ".."}, "invalid plugin name", id="dots"),
        pytest.param({"type": "a\0b"}, "invalid plugin name", id="NUL"),
        pytest.param({"type": "a\nb"}, "invalid plugin name", id="line break"),
        pytest.param({"type": "\ud800"}, "invalid plugin name", id="surrogate"),
        pytest.param({"type": "ä" * 128}, "invalid plugin name", id="too long"),
        pytest.param(of(plugins=[]), "plugins is empty", id="no plugins"),
        pytest.param(of(plugins=None), "must have the 'type' or 'plugins' field", id="plugins null"),
        pytest.param(of(plugins={"type": "a"}), "plugins must be a list, not an object", id="plugins an object"),
        pytest.param(of(plugins=[None]), "it: plugin 0 must be an object, not null", id="plugin null"),
        pytest.param(of(plugins=[{"type": "a"}, "b"]), "it: plugin 1 must be an object, not a string", id="plugin"),
        pytest.param(of(plugins=[{"name": "a"}]), "plugin 0: a plugin delegate must have the 'type'", id="no type"),
        pytest.param(of(plugins=[{"type": "a/b"}]), "it: plugin 0: invalid plugin name", id="path in a list"),
        pytest.param(of(name=1), "name must be a string", id="name a number"),
        pytest.param(of(name="../x"), 'invalid characters in network name "../x"', id="name a path"),
        pytest.param(of(cniVersion=1.0), "cniVersion must be a string", id="version a number"),
        pytest.param(of(cniVersions="1.0.0"), "cniVersions must be a list of strings", id="versions a string"),
        pytest.param(of(cniVersions=[1]), "cniVersions must be a list of strings", id="versions numbers"),
        pytest.param(of(disableCheck="yes"), "disableCheck must be true or false", id="flag text"),
        pytest.param(of(disableGC=1), "disableGC must be true or false, not a number", id="flag number"),
        pytest.param({**CONF, "capabilities": []}, "capabilities must map names to true or false", id="capabilities"),
        pytest.param({**CONF, "capabilities": {"a": 1}}, "capabilities must map", id="capability a number"),
    ],
)
def test_refused(raw: Any, message: str) -> None:
    """What can't be used is refused with code 7, naming the configuration and the key."""
    with pytest.raises(errors.InvalidConfig, match=message) as caught:
        config.from_object(raw, "it")
    assert caught.value.code == 7
    assert caught.value.message.startswith("it")


def test_no_json() -> None:
    """Text that is no JSON is a decode error."""
    with pytest.raises(errors.DecodeError, match="it is not valid JSON"):
        config.loads("{", "it")


KEYS = (
    *("cniVersion", "cniVersions", "name", "type", "plugins", "capabilities", "runtimeConfig", "prevResult"),
    *("disableCheck", "loadOnlyInlinedPlugins", "cni.dev/attachments"),
)


@strategies.MODEST
@given(strategies.objects_of(*KEYS))
def test_any_object(raw: dict[str, Any]) -> None:
    """Whatever object comes in, a configuration or our error comes out, the error on one line."""
    try:
        found = config.from_object(raw, "it")
    except errors.InvalidConfig as error:
        assert error.message.isprintable()  # noqa: PT017
    else:
        assert found.plugins


# ── losslessness ────────────────────────────────────────────────────────────────────────────────────────────────


@strategies.MODEST
@given(strategies.unknown("ipam", "mtu", "args", "ipMasq"))
def test_encode(extra: dict[str, Any]) -> None:
    """A configuration is written as it was read."""
    for base in (CONF, LIST):
        raw = {**extra, **base}
        found = config.loads(rawjson.encode(raw), "it")
        assert json.loads(config.encode(found)) == raw
        assert list(json.loads(config.encode(found))) == list(raw)


@strategies.MODEST
@given(strategies.unknown("ipam", "mtu", "args", "dns"))
def test_request_is_lossless(extra: dict[str, Any]) -> None:
    """A plugin gets its object with the specified changes and no other."""
    for base in (CONF, LIST):
        plugin = {**extra, "type": "bridge", "capabilities": {"mac": True}, "cni.dev/x": 1, "prevResult": {"ips": 5}}
        raw = {**base, "plugins": [plugin]} if "plugins" in base else {**base, **plugin}
        request = sent(config.loads(rawjson.encode(raw), "it"))
        assert request.pop("name") == "net"
        assert request.pop("cniVersion") == base["cniVersion"]
        expected = {**({} if "plugins" in base else base), **extra, "type": "bridge"}
        kept = {key: value for key, value in expected.items() if not key.startswith("cni.dev/")}
        assert request == {key: kept[key] for key in kept if key not in ("name", "cniVersion")}


@strategies.MODEST
@given(strategies.LITERALS)
def test_numbers_reach_the_plugin(literal: str) -> None:
    """Every number reaches the plugin digit for digit, nested or not (upstream rounds above 2^53)."""
    text = f'{{"name":"net","type":"a","vlan":{literal},"ipam":{{"ranges":[[{{"n":{literal}}}]]}}}}'
    request = config.request(*_first(config.loads(text, "it")))
    assert request.count(f'"vlan":{literal},'.encode()) == 1
    assert request.count(f'{{"n":{literal}}}'.encode()) == 1


def _first(found: config.NetworkConfig) -> tuple[config.NetworkConfig, dict[str, Any]]:
    return found, found.plugins[0]


# ── the request ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_name_and_version_are_the_lists() -> None:
    """Name and version of the list reach every plugin, whatever its own object says."""
    found = config.from_object(of(plugins=[{"type": "a", "name": "other", "cniVersion": "0.1.0"}]), "it")
    assert sent(found) == {"type": "a", "name": "net", "cniVersion": "1.0.0"}


def test_version_of_none() -> None:
    """Without a version the plugin reads the first one, which is what none means to it."""
    assert sent(config.from_object({"type": "a"}, "it"))["cniVersion"] == "0.1.0"


def test_list_keys_stay_behind() -> None:
    """Keys of the list are not the plugin's."""
    assert "disableCheck" not in sent(config.from_object(of(disableCheck=True), "it"))


def test_capabilities_are_removed() -> None:
    """`capabilities` must not be set in a request."""
    assert "capabilities" not in sent(config.from_object(LIST, "it"), 1)


def test_runtime_config() -> None:
    """Of the capability arguments a plugin gets those it declares true, and no empty object otherwise."""
    arguments = {"mac": "m", "ips": ["10.1.0.5"], "portMappings": []}
    found = config.from_object(LIST, "it")
    assert "runtimeConfig" not in sent(found, 0, capability_args=arguments)
    assert sent(found, 1, capability_args=arguments)["runtimeConfig"] == {"mac": "m"}


def test_runtime_config_of_the_author() -> None:
    """A runtimeConfig in the configuration stays unless a capability matches, as upstream has it."""
    plugin = {"type": "a", "capabilities": {"mac": True}, "runtimeConfig": {"mac": "theirs", "ips": []}}
    found = config.from_object(of(plugins=[plugin]), "it")
    assert sent(found, capability_args={"ips": ["x"]})["runtimeConfig"] == {"mac": "theirs", "ips": []}
    assert sent(found, capability_args={"mac": "ours"})["runtimeConfig"] == {"mac": "ours"}


def test_previous_result() -> None:
    """The previous result is inserted; one in the configuration's text is none."""
    found = config.from_object({**CONF, "prevResult": {"ips": ["forged"]}}, "it")
    assert "prevResult" not in sent(found)
    assert sent(found, prev_result={"ips": []})["prevResult"] == {"ips": []}


def test_reserved_keys() -> None:
    """`cni.dev/` keys are the runtime's alone."""
    found = config.from_object({**CONF, "cni.dev/valid-attachments": [{"containerID": "forged"}]}, "it")
    assert "cni.dev/valid-attachments" not in sent(found)
    assert sent(found, extra={"cni.dev/valid-attachments": []})["cni.dev/valid-attachments"] == []


def test_request_leaves_the_configuration_alone() -> None:
    """Deriving a request changes nothing."""
    found = config.from_object(LIST, "it")
    before = json.dumps(found)
    sent(found, 1, capability_args={"mac": "m"}, prev_result={}, extra={"cni.dev/x": 1})
    assert json.dumps(found) == before


@pytest.mark.parametrize(("capability", "expected"), [("mac", True), ("ips", False), ("bandwidth", False)])
def test_declares(capability: str, expected: bool) -> None:
    """A network supports what any of its plugins declares true."""
    assert config.declares(config.from_object(LIST, "it"), capability) is expected


def test_null_capability() -> None:
    """A capability that is null is not declared."""
    found = config.from_object({**CONF, "capabilities": {"mac": None}}, "it")
    assert not config.declares(found, "mac")


# ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("raw", [CONF, LIST], ids=["conf", "list"])
def test_with_name(raw: dict[str, Any]) -> None:
    """A new name is in the view, in the text and in the request."""
    named = config.with_name(config.from_object(raw, "it"), "other")
    assert (named.name, named.raw["name"], sent(named)["name"]) == ("other", "other", "other")
    assert config.loads(config.encode(named), "it") == named


@pytest.mark.parametrize("raw", [CONF, LIST], ids=["conf", "list"])
def test_edit_plugins(raw: dict[str, Any]) -> None:
    """Every plugin is edited, in the view and in the text; the original stays."""
    found = config.from_object(raw, "it")
    edited = config.edit_plugins(found, lambda plugin: {**plugin, "deviceID": "d"})
    assert all(plugin["deviceID"] == "d" for plugin in edited.plugins)
    assert config.loads(config.encode(edited), "it") == edited
    assert "deviceID" not in rawjson.dumps(found.raw)


def test_with_plugins() -> None:
    """Plugins of the subdirectory follow those of the list."""
    grown = config.with_plugins(config.from_object(LIST, "it"), [{"type": "sbr", "x": 1}], "it")
    assert grown.types == ("bridge", "tuning", "sbr")
    assert config.loads(config.encode(grown), "it") == grown


def test_with_plugins_inlined_only() -> None:
    """With `loadOnlyInlinedPlugins` they are not wanted."""
    found = config.from_object(of(loadOnlyInlinedPlugins=True), "it")
    assert config.with_plugins(found, [{"type": "sbr"}], "it").types == ("bridge", "tuning")


@pytest.mark.parametrize("bad", [{"name": "no type"}, {"type": "a/b"}, None, 5])
def test_with_bad_plugins(bad: Any) -> None:
    """They are held to the same rules."""
    with pytest.raises(errors.InvalidConfig, match="it: plugin 2"):
        config.with_plugins(config.from_object(LIST, "it"), [bad], "it")


def test_with_plugins_on_conf() -> None:
    """A single configuration can't take any."""
    with pytest.raises(errors.InvalidConfig, match="only a conflist"):
        config.with_plugins(config.from_object(CONF, "it"), [], "it")


@pytest.mark.parametrize("raw", [{"name": "net"}, of(plugins=[])])
def test_partial(raw: dict[str, Any]) -> None:
    """A list may leave all its plugins to the subdirectory; without any there it is refused."""
    found = config.loads(rawjson.encode(raw), "it", partial=True)
    assert found.plugins == ()
    assert config.with_plugins(found, [{"type": "sbr"}], "it").types == ("sbr",)
    with pytest.raises(errors.InvalidConfig, match="plugins is empty"):
        config.with_plugins(found, [], "it")


def test_partial_inlined_only() -> None:
    """`loadOnlyInlinedPlugins` without `plugins` contradicts itself (specification, section 1)."""
    with pytest.raises(errors.InvalidConfig, match="must have the 'type' or 'plugins' field"):
        config.from_object({"name": "net", "loadOnlyInlinedPlugins": True}, "it", partial=True)


def test_partial_still_checks() -> None:
    """What is there is checked all the same."""
    with pytest.raises(errors.InvalidConfig):
        config.from_object(of(plugins=[{}]), "it", partial=True)


@strategies.MODEST
@given(st.text())
def test_any_type(kind: str) -> None:
    """A plugin type that is accepted names one file in whatever directory it is looked up."""
    try:
        config.from_object({"type": kind}, "it")
    except errors.InvalidConfig:
        return
    assert "/" not in kind
    assert kind not in ("", ".", "..")
    assert len(kind.encode()) <= 255
    assert "\0" not in kind


# ── what is made once ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_text_is_understood_once() -> None:
    """One object for one text and name; a text that is too long is read each time."""
    text = '{"cniVersion": "1.0.0", "type": "bridge"}'
    found = config.known(text, "it", "net-a")
    assert found.name == "net-a"
    assert config.known(text, "it", "net-a") is found
    assert config.known(text, "it", "net-b").name == "net-b"
    long = text[:-1] + ', "x": "' + "x" * config.LONGEST + '"}'
    assert config.known(long, "it", "a") is not config.known(long, "it", "a")


def test_what_is_no_configuration_is_refused_each_time() -> None:
    """With the words of who asks."""
    for what in ("one", "other"):
        with pytest.raises(errors.DecodeError, match=what):
            config.known("{", what)
    with pytest.raises(errors.InvalidConfig):
        config.known('{"type": "bridge"}', "it", "/")


def test_no_more_are_remembered_than_that() -> None:
    """A cluster may have more networks than a node remembers."""
    texts = [f'{{"type": "bridge", "n": {number}}}' for number in range(config.REMEMBERED + 5)]
    for text in texts:
        config.known(text, "it", "a")
    assert [config.known(text, "it", "a").raw["n"] for text in texts] == list(range(len(texts)))


def test_a_changed_configuration_makes_its_own_requests() -> None:
    """Nothing that was made of the one before is left in it."""
    found = config.loads('{"cniVersion": "1.0.0", "name": "a", "type": "bridge"}', "it")
    before = config.request(found, found.plugins[0])
    changed = config.edit_plugins(found, lambda plugin: {**plugin, "x": 1})
    assert json.loads(config.request(changed, changed.plugins[0])) == {**json.loads(before), "x": 1}
    assert json.loads(config.encode(changed))["x"] == 1
    assert config.request(found, found.plugins[0]) == before


@pytest.mark.parametrize("prev", [None, {"cniVersion": "1.0.0"}])
@pytest.mark.parametrize("own", [{}, {"runtimeConfig": {"mac": "author"}}])
@pytest.mark.parametrize("asked", [{}, {"mac": "a", "ips": ["b"]}])
def test_requests_are_as_if_made_in_one_go(
    own: dict[str, Any], asked: dict[str, Any], prev: dict[str, Any] | None
) -> None:
    """Order and content, whatever is added."""
    plugin = {"type": "bridge", **own, "capabilities": {"mac": True}, "after": 1}
    found = config.from_object({"cniVersion": "1.0.0", "name": "a", "plugins": [plugin]}, "it")
    expected = {key: value for key, value in plugin.items() if key != "capabilities"}
    expected |= {"name": "a", "cniVersion": "1.0.0"}
    expected |= {"runtimeConfig": {"mac": "a"}} if asked else {}
    expected |= {"prevResult": prev} if prev else {}
    made = config.request(found, found.plugins[0], prev_result=prev, capability_args=asked)
    assert made == rawjson.encode(expected)
