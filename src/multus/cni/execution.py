"""Execution of a network configuration: its plugins in order (CNI specification, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from multus import errors
from multus.cni import arguments, config, environment, invoke, rawjson, results, versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multus.cni.arguments import Pairs
    from multus.cni.config import NetworkConfig
    from multus.cni.invoke import Ended, Executor, PluginCall
    from multus.cni.rawjson import Json
    from multus.cni.results import Result


class Target(NamedTuple):
    """The attachment parameters; `path` is the CNI_PATH that plugins hand to the plugins they delegate to."""

    container_id: str
    netns: str
    ifname: str
    args: Pairs
    path: str
    capability_args: Mapping[str, Any]


def add(network: NetworkConfig, target: Target, executor: Executor, deadline: float) -> Result:
    """ADD every plugin in order, each given the result of the one before; the last one's result. Raises
    errors.CniError, before anything is run when the network's name or the target is malformed."""
    return result_of(network, added(network, target, adding(network, target, deadline), executor))


def adding(network: NetworkConfig, target: Target, deadline: float) -> PluginCall:
    """The first call of an ADD, before anything is run. Raises errors.CniError, also when the network's name or the
    target is malformed."""
    environment.check_network_name(network.name)
    environment.check_container_id(target.container_id)
    environment.check_ifname(target.ifname)
    return _call(network, network.plugins[0], "ADD", target, deadline)


def added(network: NetworkConfig, target: Target, first: PluginCall, executor: Executor) -> bytes:
    """ADD every plugin in order, beginning with the call `first`; what the last one printed, unread. Raises
    errors.CniError."""
    printed = _printed(first, executor)
    for number, plugin in enumerate(network.plugins[1:]):
        before = _prev(network, _read(network, network.plugins[number], printed))
        printed = _printed(_call(network, plugin, "ADD", target, first.deadline, before), executor)
    return printed


def result_of(network: NetworkConfig, printed: bytes) -> Result:
    """What `added` gave, read. Raises errors.CniError."""
    return _read(network, network.plugins[-1], printed)


def _printed(call: PluginCall, executor: Executor) -> bytes:
    return printed_by(call, invoke.attempt(call, executor))


def printed_by(call: PluginCall, ended: Ended) -> bytes:
    """What the plugin of an ADD printed that has `ended`, unread. Raises errors.CniError."""
    out = output_of(call, ended)
    if not out or out.isspace():
        raise errors.PluginFailed(f'plugin type="{call.plugin}" failed (add): it printed no result')
    return out


def _read(network: NetworkConfig, plugin: Json, printed: bytes) -> Result:
    what = f'result of plugin type="{plugin["type"]}"'
    return results.parse(printed, versions.normalise(network.cni_version), what)


def delete(network: NetworkConfig, target: Target, prev: Result | None, executor: Executor, deadline: float) -> None:
    """DEL every plugin in reverse order; the first error ends it. Plugins get `prev` since CNI 0.4.0.

    A plugin that is not there holds nothing, and keeps nobody from deleting what those before it attached: it is the
    error when the others are done."""
    deleted(deleting(network, target, prev, deadline), executor)


def deleting(network: NetworkConfig, target: Target, prev: Result | None, deadline: float) -> tuple[PluginCall, ...]:
    """The calls of a DEL in order. Raises errors.CniError."""
    given = _prev(network, prev) if versions.at_least(network.cni_version, "0.4.0") else None
    return tuple(_call(network, plugin, "DEL", target, deadline, given) for plugin in reversed(network.plugins))


def deleted(calls: Sequence[PluginCall], executor: Executor) -> None:
    """Carry out a DEL (see `delete`)."""
    missing: errors.PluginNotFound | None = None
    for call in calls:
        try:
            output_of(call, invoke.attempt(call, executor))
        except errors.PluginNotFound as error:
            missing = missing or error
    if missing is not None:
        raise missing


def check(network: NetworkConfig, target: Target, prev: Result | None, executor: Executor, deadline: float) -> None:
    """CHECK every plugin; nothing with `disableCheck`. Raises errors.IncompatibleVersion below CNI 0.4.0."""
    if network.disable_check:
        return
    if not versions.has_verb(network.cni_version, "CHECK"):
        raise errors.IncompatibleVersion(
            f'configuration version "{network.cni_version}" does not support the CHECK command'
        )
    given = _prev(network, prev)
    for plugin in network.plugins:
        _run(network, plugin, "CHECK", target, executor, deadline, given)


def status(network: NetworkConfig, path: str, executor: Executor, deadline: float) -> None:
    """STATUS of every plugin; the first error, its code kept. Below CNI 1.1.0 there is none: success."""
    if not versions.has_verb(network.cni_version, "STATUS"):
        return
    for plugin in network.plugins:
        _run(network, plugin, "STATUS", _nobody(path), executor, deadline, None)


def gc(
    network: NetworkConfig, path: str, valid: Sequence[tuple[str, str]], executor: Executor, deadline: float
) -> None:
    """GC of every plugin with `valid`, the (containerID, ifname) pairs that live; all are attempted, errors joined.
    Nothing with `disableGC` or below CNI 1.1.0."""
    if network.disable_gc or not versions.has_verb(network.cni_version, "GC"):
        return
    living = [{"containerID": container_id, "ifname": ifname} for container_id, ifname in valid]
    extra = {"cni.dev/valid-attachments": living, "cni.dev/attachments": living}
    failures = []
    for plugin in network.plugins:
        try:
            _run(network, plugin, "GC", _nobody(path), executor, deadline, None, extra)
        except errors.CniError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise errors.CniError(" / ".join(str(error) for error in failures), code=failures[0].code)


def version(plugin: str, path: str, executor: Executor, deadline: float) -> tuple[str, ...]:
    """The versions that the plugin of that type supports; one that does not know VERSION is of 0.1.0 (specification
    0.2.0, which brought the verb). Raises errors.CniError."""
    what = f'plugin type="{plugin}" failed (version)'
    call = invoke.PluginCall(
        plugin=plugin,
        environ=_environ("VERSION", _NOBODY_IN_PARTICULAR._replace(path=path)),
        stdin=rawjson.encode({"cniVersion": versions.LATEST}),
        deadline=deadline,
    )
    try:
        out = invoke.output(call, executor.run(call))
    except errors.CniError as error:
        if "unknown CNI_COMMAND: VERSION" in str(error):
            return ("0.1.0",)
        raise error.within(what) from error
    if not out.strip():
        raise errors.PluginFailed(f"{what}: it printed nothing")
    return _supported(rawjson.loads_object(out, what), what)


def _supported(told: Json, what: str) -> tuple[str, ...]:
    """The list of supported versions; the first plugins that had the verb could leave it out."""
    found = rawjson.strings(told, "supportedVersions", what)
    if found:
        return found
    if rawjson.text(told, "cniVersion", what) == "0.2.0":
        return ("0.1.0", "0.2.0")
    raise errors.DecodeError(f"{what}: it printed no supportedVersions")


#: VERSION concerns no attachment, but plugins built before it refuse to start without these (as libcni does).
_NOBODY_IN_PARTICULAR = Target("dummy", "dummy", "dummy", (), "", {})


def _run(
    network: NetworkConfig,
    plugin: Json,
    verb: str,
    target: Target,
    executor: Executor,
    deadline: float,
    prev: Json | None,
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    call = _call(network, plugin, verb, target, deadline, prev, extra)
    return output_of(call, invoke.attempt(call, executor))


def _call(
    network: NetworkConfig,
    plugin: Json,
    verb: str,
    target: Target,
    deadline: float,
    prev: Json | None = None,
    extra: Mapping[str, Any] | None = None,
) -> PluginCall:
    """One plugin's call. Its error says which plugin and verb it is about, as do those below."""
    kind: str = plugin["type"]
    try:
        stdin = config.request(network, plugin, prev_result=prev, capability_args=target.capability_args, extra=extra)
    except errors.CniError as error:
        raise error.within(_failed(kind, verb)) from error
    return invoke.PluginCall(kind, _environ(verb, target), stdin, deadline)


def output_of(call: PluginCall, ended: Ended) -> bytes:
    """The stdout of a plugin that has `ended`. Raises its error, which keeps class, code and details."""
    try:
        if isinstance(ended, errors.CniError):
            raise ended
        return invoke.output(call, ended)
    except errors.CniError as error:
        raise error.within(_failed(call.plugin, call.environ["CNI_COMMAND"])) from error


def _failed(plugin: str, verb: str) -> str:
    word = {"ADD": "add", "DEL": "delete"}.get(verb, verb.lower())
    return f'plugin type="{plugin}" failed ({word})'


def _environ(verb: str, target: Target) -> dict[str, str]:
    return {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": target.container_id,
        "CNI_NETNS": target.netns,
        "CNI_IFNAME": target.ifname,
        "CNI_ARGS": arguments.render(target.args),
        "CNI_PATH": target.path,
    }


def _nobody(path: str) -> Target:
    """STATUS and GC concern no attachment: those variables are set but empty, as libcni does."""
    return Target(container_id="", netns="", ifname="", args=(), path=path, capability_args={})


def _prev(network: NetworkConfig, result: Result | None) -> Json | None:
    """A result as `prevResult`: as its plugin printed it where it has the network's version, else converted."""
    if result is None:
        return None
    wanted = versions.normalise(network.cni_version)
    return result.raw if result.cni_version == wanted else results.as_version(result, wanted)
