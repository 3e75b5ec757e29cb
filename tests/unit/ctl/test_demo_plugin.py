"""How the demo's container runtime calls multus and understands it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from multus import errors
from multus.ctl.demo import machine, plugin
from multus.ctl.demo.machine import Done
from multus.ctl.demo.requirements import Programs
from multus.ctl.demo.topology import Pod

if TYPE_CHECKING:
    from collections.abc import Callable

POD = Pod("web", ("eth0",))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was executed; every call succeeds."""
    seen: list[Any] = []

    def inside(*arguments: Any) -> Done:
        seen.append(arguments)
        return Done(0, "{}", "")

    monkeypatch.setattr(machine, "inside", inside)
    return seen


def test_call(calls: list[Any]) -> None:
    """The plugin is executed on the node with the protocol's variables, the configuration on stdin."""
    runtime = plugin.Runtime(Programs("/x/multus", "/x/plugins"))
    runtime.call("ADD", POD)
    [(netns, command, stdin, environ)] = calls
    assert (netns, command) == ("mxdemo-host", ["/x/multus"])
    assert json.loads(stdin)["binDir"] == "/x/plugins"
    assert environ["CNI_COMMAND"] == "ADD"
    assert environ["CNI_NETNS"] == "/var/run/netns/mxdemo-web"
    assert environ["CNI_PATH"] == "/x/plugins"
    assert "K8S_POD_NAME=web;" in environ["CNI_ARGS"]
    assert [(call.verb, call.pod) for call in runtime.calls] == [("ADD", "web")]


def failing(done: Done) -> Callable[..., Done]:
    return lambda *_: done


def test_error_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin's own error keeps its code, message and details."""
    printed = json.dumps({"cniVersion": "1.0.0", "code": 11, "msg": "try later", "details": "busy"})
    monkeypatch.setattr(machine, "inside", failing(Done(1, printed, "")))
    with pytest.raises(errors.CniError, match="try later; busy") as caught:
        plugin.Runtime(Programs("/x/multus", "/x")).call("ADD", POD)
    assert caught.value.code == 11


@pytest.mark.parametrize("stdout", ["", "oops", "[]", '{"code": 1}', '"text"'])
def test_unusable_answer(stdout: str) -> None:
    """Anything but an error object is told with the status and what was said."""
    error = plugin.failure("DEL", "web", Done(3, stdout, "Traceback: it broke"))
    assert isinstance(error, errors.PluginFailed)
    assert "multus DEL for pod web ended with status 3: Traceback: it broke" in str(error)
