"""Values that a stranger may write, for the property tests of this directory."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from multus.cni import versions

#: The profile of every property here: no example is a matter of time.
MODEST = settings(max_examples=120, deadline=None)

VERSIONS = st.sampled_from(versions.SUPPORTED)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()

VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)

#: Number literals of every spelling JSON knows, most of which neither an int64 nor a float holds.
LITERALS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?", fullmatch=True)


def objects_of(*keys: str, values: st.SearchStrategy[Any] = VALUES) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have some of `keys`, with whatever values, and others."""
    return st.dictionaries(st.sampled_from(keys) | st.text(max_size=5), values, max_size=8)


def unknown(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    """Members of a plugin's object that mean nothing to anybody but the plugin."""
    meant = ("name", "type", "plugins", "cniVersion")
    return objects_of(*keys).map(lambda raw: {key: value for key, value in raw.items() if key not in meant})


_WORDS = st.sampled_from(
    ["10.1.0.2/24", "fd00::2/64", "0.0.0.0/0", "::/0", "10.1.0.1", "fd00::1", "eth0", "4", "6", ""]
)
_LEAVES = _WORDS | SCALARS
_ROUTES = objects_of("dst", "gw", "mtu", "table", "scope", values=_LEAVES)
_BLOCKS = objects_of("ip", "gateway", "routes", values=_LEAVES | st.lists(_ROUTES, max_size=2))
_IPS = objects_of("version", "address", "gateway", "interface", values=_LEAVES)
_INTERFACES = objects_of("name", "mac", "mtu", "sandbox", "socketPath", "pciID", values=_LEAVES)

#: Anything that might be taken for a result: the right keys, now and then with the right values.
NEAR_RESULTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "cniVersion": VERSIONS | VALUES,
        "ip4": _BLOCKS | VALUES,
        "ip6": _BLOCKS | VALUES,
        "ips": st.lists(_IPS, max_size=3) | VALUES,
        "routes": st.lists(_ROUTES, max_size=3) | VALUES,
        "interfaces": st.lists(_INTERFACES, max_size=2) | VALUES,
        "dns": objects_of("nameservers", "domain", "search", "options") | VALUES,
        "stray": VALUES,
    },
)


def _family(tag: str) -> dict[str, st.SearchStrategy[str]]:
    number = st.integers(min_value=1, max_value=250)
    if tag == "4":
        return {
            "address": number.map(lambda n: f"10.1.{n}.2/24"),
            "gateway": number.map(lambda n: f"10.1.{n}.1"),
            "dst": st.just("0.0.0.0/0") | number.map(lambda n: f"192.168.{n}.0/24"),
        }
    return {
        "address": number.map(lambda n: f"fd00:{n:x}::2/64"),
        "gateway": number.map(lambda n: f"fd00:{n:x}::1"),
        "dst": st.just("::/0") | number.map(lambda n: f"fd01:{n:x}::/64"),
    }


def routes(tag: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Routes that every version can hold."""
    made = st.fixed_dictionaries({"dst": _family(tag)["dst"]}, optional={"gw": _family(tag)["gateway"]})
    return st.lists(made, max_size=3)


_DNS = st.fixed_dictionaries(
    {"nameservers": st.lists(st.sampled_from(["10.1.0.1", "fd00::1"]), min_size=1, max_size=2)},
    optional={"domain": st.just("example.org"), "search": st.just(["example.org"]), "options": st.just(["ndots:2"])},
)


def _block(tag: str) -> st.SearchStrategy[dict[str, Any]]:
    own = _family(tag)
    nonempty = routes(tag).filter(bool)
    return st.fixed_dictionaries({"ip": own["address"]}, optional={"gateway": own["gateway"], "routes": nonempty})


def legacy(version: str) -> st.SearchStrategy[dict[str, Any]]:
    """Well-formed results of 0.1.0 and 0.2.0."""
    return st.fixed_dictionaries(
        {"cniVersion": st.just(version), "dns": st.just({}) | _DNS}, optional={"ip4": _block("4"), "ip6": _block("6")}
    )


def tagged(version: str) -> st.SearchStrategy[dict[str, Any]]:
    """Well-formed results of 0.3.0 to 0.4.0."""
    return st.fixed_dictionaries(
        {"cniVersion": st.just(version), "dns": st.just({}) | _DNS},
        optional={"interfaces": _interfaces({}), "ips": st.lists(_ip(tag=True), max_size=3), "routes": _all_routes()},
    )


def plain(version: str) -> st.SearchStrategy[dict[str, Any]]:
    """Well-formed results of 1.0.0."""
    return st.fixed_dictionaries(
        {"cniVersion": st.just(version)},
        optional={
            "interfaces": _interfaces({}),
            "ips": st.lists(_ip(tag=False), max_size=3),
            "routes": _all_routes(),
            "dns": _DNS,
        },
    )


def rich(version: str) -> st.SearchStrategy[dict[str, Any]]:
    """Well-formed results of 1.1.0, with members that only it knows."""
    numbers = st.integers(min_value=0, max_value=9000)
    extra = {"mtu": numbers, "socketPath": st.just("/run/x"), "pciID": st.just("0000:00:1f.6")}
    of_route = dict.fromkeys(("mtu", "advmss", "priority", "table", "scope"), numbers)
    route = st.fixed_dictionaries({"dst": _family("4")["dst"]}, optional=of_route)
    return st.fixed_dictionaries(
        {"cniVersion": st.just(version)},
        optional={
            "interfaces": _interfaces(extra),
            "ips": st.lists(_ip(tag=False), max_size=3),
            "routes": st.lists(route, max_size=3),
            "dns": _DNS,
        },
    )


def _all_routes() -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.tuples(routes("4"), routes("6")).map(lambda both: both[0] + both[1])


def _interfaces(extra: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    optional = {"mac": st.just("02:00:00:00:00:01"), "sandbox": st.just("/run/netns/x"), "vendor": VALUES, **extra}
    return st.lists(st.fixed_dictionaries({"name": st.sampled_from(["eth0", "br0"])}, optional=optional), max_size=2)


def _ip(*, tag: bool) -> st.SearchStrategy[dict[str, Any]]:
    def of(family: str) -> st.SearchStrategy[dict[str, Any]]:
        own = _family(family)
        always: dict[str, st.SearchStrategy[Any]] = {"version": st.just(family)} if tag else {}
        return st.fixed_dictionaries(
            {**always, "address": own["address"]}, optional={"gateway": own["gateway"], "interface": st.just(0)}
        )

    return of("4") | of("6")


#: A well-formed result of any version.
RESULTS = VERSIONS.flatmap(
    lambda version: {"0.1.0": legacy, "0.2.0": legacy, "1.0.0": plain, "1.1.0": rich}.get(version, tagged)(version)
)
