"""From a CNI request to the bytes of its answer: the same for the one-shot plugin and the node daemon.

What differs between them (where delegates run, where pods are looked up, what the node lays over the configuration) is
a `Host`. Start-up time is a feature here (docs/design/0002): what a call may not need is imported where it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from multus import errors, log
from multus.cni import arguments, environment, rawjson, results, versions
from multus.networks import netconf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multus.cni.environment import Environment
    from multus.cni.rawjson import Json
    from multus.engine.call import Call, Ports
    from multus.networks.netconf import LogOptions, MultusConf


#: How many configurations of Multus are remembered, and the longest of their texts. Port mappings are part of them, so
#: not every pod's is the same.
REMEMBERED = 64
LONGEST = 8192


class Answer(NamedTuple):
    """What the plugin prints and exits with."""

    stdout: bytes
    status: int


class Terminated(BaseException):
    """SIGTERM arrived: what was started is undone on the way out."""


class Host(Protocol):
    """Where a request came from, and what it may use."""

    def configuration(self, raw: Json) -> Json:
        """The request's configuration with what the node lays over it."""
        ...

    def begin(self, request: Environment, conf: MultusConf) -> None:
        """Before the first effect: set up logging, refuse what can't be served here. Raises errors.CniError."""
        ...

    def deadline(self, budget: float) -> float:
        """When a call ends that may take `budget` seconds from its start, in monotonic seconds."""
        ...

    def ports(self, call: Call) -> Ports:
        """The outside world of this call."""
        ...


def answer(
    environ: Mapping[str, str], stdin: Callable[[], bytes], host: Host, known: dict[bytes, MultusConf] | None = None
) -> Answer:
    """Carry out what the environment asks (CNI specification, section 2); never raises. `known`: configurations that
    were understood before, by their text, in a process that stays; a runtime sends the same one again and again."""
    version = ""
    try:
        request = environment.from_environ(environ)
        data = stdin()
        conf = known.get(data) if known is not None and request.command != "VERSION" else None
        if conf is None:
            raw = rawjson.loads_object(data, "configuration on stdin")
            version = _version_of(raw)
            if request.command == "VERSION":
                return Answer(rawjson.encode(_supported(version)), 0)
            conf = netconf.from_object(host.configuration(raw))
            _remember(known, data, conf)
        version = conf.cni_version
        _allow(conf, request.command)
        host.begin(request, conf)
        output = _dispatch(make_call(request, conf, host), host)
    except errors.CniError as error:
        return refusal(error, version)
    except Exception as error:
        defect = errors.Internal(f"internal error: {error.__class__.__name__}: {error}", details=_where(error))
        return refusal(defect, version)
    except Terminated:
        return refusal(errors.TryAgainLater("terminated by SIGTERM; what was started has been undone"), version)
    return Answer(rawjson.encode(output) if output is not None else b"", 0)


def log_to(level: str, to_stderr: bool, path: str, rotation: LogOptions) -> None:
    """Write log lines as the logging keys of a configuration say."""
    sinks: list[Callable[[str], None]] = []
    if to_stderr:
        sinks.append(log.to_stderr)
    if path:
        from multus.host import logfile

        sinks.append(
            logfile.RotatingFile(path, rotation.max_size, rotation.max_backups, rotation.max_age, rotation.compress)
        )
    log.configure(level, sinks)


def refusal(error: errors.CniError, version: str) -> Answer:
    """The error object, laid out as upstream does. Its messages begin with the pod, or with ``Multus:``."""
    told = error if error.message.startswith("[") else error.within("Multus")
    log.error(str(told), code=told.code)
    return Answer(rawjson.dumps(told.as_object(version or versions.LATEST), indent=4).encode() + b"\n", 1)


def _remember(known: dict[bytes, MultusConf] | None, data: bytes, conf: MultusConf) -> None:
    """One that is as long as no operator's is (GC's has a list of all sandboxes) is not sent again."""
    if known is None or len(data) > LONGEST:
        return
    if len(known) >= REMEMBERED:
        known.clear()
    known[data] = conf


def _version_of(raw: Json) -> str:
    version = raw.get("cniVersion", "")
    return version if isinstance(version, str) else ""


def _supported(version: str) -> Json:
    return {"cniVersion": version or versions.LATEST, "supportedVersions": list(versions.SUPPORTED)}


def _allow(conf: MultusConf, command: str) -> None:
    """The checks of the CNI skeleton: the conf's version, that it knows the verb, the network's name."""
    if not conf.name:
        raise errors.InvalidConfig("missing network name")
    environment.check_network_name(conf.name)
    versions.check(conf.cni_version)
    if not versions.has_verb(conf.cni_version, command):
        raise errors.IncompatibleVersion(f"config version does not allow {command}")


def make_call(request: Environment, conf: MultusConf, host: Host) -> Call:
    """The call that the engine is handed. Raises errors.InvalidEnvironment for CNI_ARGS that can't be used."""
    from multus.engine.call import Call

    pairs = arguments.parse(request.args)
    return Call(
        environment=request,
        args=pairs,
        pod=arguments.pod(pairs),
        conf=conf,
        path=":".join(dict.fromkeys([conf.bin_dir, *request.path])),
        deadline=host.deadline(budget(conf, request.command)),
    )


def budget(conf: MultusConf, command: str) -> float:
    """How long a call may take in all, in seconds."""
    return {
        "ADD": conf.add_timeout,
        "DEL": conf.delete_timeout,
        "CHECK": conf.check_timeout,
        "GC": conf.gc_timeout,
        "STATUS": conf.status_verb_timeout,
    }[command]


def _dispatch(call: Call, host: Host) -> Json | None:
    outside = host.ports(call)
    if call.environment.command == "ADD":
        from multus.engine import add

        result = add.run(call, outside)
        return results.as_version(result, result.cni_version)
    _verb(call.environment.command)(call, outside)
    return None


def _verb(command: str) -> Callable[[Call, Ports], None]:
    if command == "DEL":
        from multus.engine import delete

        return delete.run
    if command == "CHECK":
        from multus.engine import check

        return check.run
    if command == "STATUS":
        from multus.engine import status

        return status.run
    from multus.engine import gc

    return gc.run


def _where(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
