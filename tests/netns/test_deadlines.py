"""Delegates that hang, and runtimes that lose their patience: what was started ends, and DEL finds a way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from support import faults
from support.runtime import PluginError, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.netns

#: Ways to hang in ADD; DEL succeeds. `{mark}` tells that it runs.
HANGS = {
    "alone": "touch {mark}; exec sleep 600",
    "with a grandchild": "touch {mark}; sleep 600 & wait",
    "deaf": "trap '' TERM; touch {mark}; sleep 600 & wait; sleep 600",
    "silent": "exec <&- >&- 2>&-; touch {mark}; sleep 600 & wait",
}

#: As above, and its grandchild has left the process group.
ESCAPES = {"escaped": "touch {mark}; setsid sleep 600 & sleep 600"}


@pytest.fixture(params=["thin", "thick"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path)
    if request.param == "thick":
        made.start_daemon()
    yield made
    made.close()


def hanging(runtime: Runtime, script: str, verb: str = "ADD") -> Path:
    """A pod whose second network hangs in `verb`; the file that tells so. While `<file>.off` exists it
    doesn't."""
    mark = runtime.dir / "hangs"
    result = '{"cniVersion": "1.0.0", "interfaces": []}'
    hang = f'if [ "$CNI_COMMAND" = {verb} ] && [ ! -e {mark}.off ]; then {script.format(mark=mark)}; fi'
    runtime.own_plugins(hang=f"{hang}\n[ $CNI_COMMAND = ADD ] && echo '{result}'\nexit 0")
    ipam = runtime.host_local("10.11.0.0/24")
    runtime.network("a", {"cniVersion": "1.0.0", "type": "bridge", "bridge": "br11", "ipam": ipam})
    runtime.network("h", {"cniVersion": "1.0.0", "type": "hang"})
    runtime.pod("pod", "a,h,a")
    return mark


@pytest.mark.parametrize("script", [pytest.param(script, id=name) for name, script in (HANGS | ESCAPES).items()])
def test_add_that_hangs(runtime: Runtime, script: str) -> None:
    """Ended at its deadline with all its children; ADD says 11 and who it was, and everything is undone."""
    hanging(runtime, script)
    pod, conf = runtime.sandbox(), runtime.conf(addTimeout=5, rollbackReserve=3)
    with pytest.raises(PluginError, match=r'default/h.*"hang" did not end within its deadline') as caught:
        runtime.add(pod, conf)
    assert caught.value.code == 11
    runtime.nothing_left(pod)
    assert faults.working_for(pod.container_id) == []
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_delegate_of_a_delegate_that_hangs(runtime: Runtime) -> None:
    """An IPAM plugin is the grandchild: it is gone too, and so is the link that was made before it was asked."""
    mark = hanging(runtime, HANGS["alone"])
    stuck = {"cniVersion": "1.0.0", "type": "bridge", "bridge": "br12", "ipam": {"type": "hang"}}
    runtime.network("h", stuck)
    pod, conf = runtime.sandbox(), runtime.conf(addTimeout=3, rollbackReserve=1)
    with pytest.raises(PluginError, match="default/h") as caught:
        runtime.add(pod, conf)
    assert caught.value.code == 11
    assert mark.exists()
    assert faults.working_for(pod.container_id) == []
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


def test_delete_that_hangs(runtime: Runtime) -> None:
    """DEL says 11 within its budget; what was not detached is on record, and the next DEL finishes it."""
    mark = hanging(runtime, HANGS["with a grandchild"], "DEL")
    pod, conf = runtime.sandbox(), runtime.conf(deleteTimeout=2)
    runtime.add(pod, conf)
    with pytest.raises(PluginError, match="default/h") as caught:
        runtime.delete(pod, conf)
    assert caught.value.code == 11
    assert faults.working_for(pod.container_id) == []
    assert runtime.records() == [pod.container_id]
    (runtime.dir / f"{mark.name}.off").touch()
    runtime.delete(pod, conf)
    runtime.nothing_left(pod)


@pytest.mark.parametrize("script", [pytest.param(script, id=name) for name, script in (HANGS | ESCAPES).items()])
def test_runtime_loses_patience(runtime: Runtime, script: str) -> None:
    """The runtime kills the pid that it started and deletes right behind: nothing that was started is left."""
    mark = hanging(runtime, script)
    pod, conf = runtime.sandbox(), runtime.conf()
    call = faults.begin(runtime, "ADD", pod, conf)
    faults.wait_for(mark.exists, "the delegate to hang")
    call.kill()
    call.communicate()
    runtime.delete(pod, conf)
    assert faults.working_for(pod.container_id) == []
    runtime.nothing_left(pod)


@pytest.fixture
def thick(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path)
    yield made
    made.close()


def test_deletions_pass_delegates_that_hang(thick: Runtime) -> None:
    """When every slot but those reserved is taken by what hangs, DEL goes through, and ADD says 11 in its time."""
    thick.start_daemon(delegateLimit=4)
    mark = hanging(thick, HANGS["alone"])
    (thick.dir / f"{mark.name}.off").touch()
    pods, conf = [thick.sandbox() for _ in range(5)], thick.conf()
    thick.add(pods[0], conf)
    (thick.dir / f"{mark.name}.off").unlink()
    calls = [faults.begin(thick, "ADD", pod, conf) for pod in pods[1:4]]
    for pod in pods[1:4]:
        faults.wait_for(partial(faults.runs, pod, "sleep"), "the delegate to hang")
    with pytest.raises(PluginError, match="the node runs 4 delegates already") as caught:
        thick.add(pods[4], thick.conf(addTimeout=3, rollbackReserve=1))
    assert caught.value.code == 11
    thick.delete(pods[0], conf)
    for call in calls:
        call.kill()
        call.communicate()
    for pod in pods:
        thick.delete(pod, conf)
    for pod in pods:
        thick.nothing_left(pod)


def test_grace_period_ends(thick: Runtime) -> None:
    """A daemon ends at its grace period with a call still running: code 11 for that, and DEL by its successor."""
    thick.start_daemon(gracePeriod=1)
    mark = hanging(thick, HANGS["with a grandchild"])
    pod, conf = thick.sandbox(), thick.conf(addTimeout=4, rollbackReserve=1)
    call = faults.begin(thick, "ADD", pod, conf)
    faults.wait_for(mark.exists, "the delegate to hang")
    assert thick.stop_daemon() == 0
    thick.start_daemon()
    out, _ = call.communicate(timeout=60)
    assert call.returncode == 1
    assert b'"code": 11' in out
    thick.delete(pod, conf)
    assert faults.working_for(pod.container_id) == []
    thick.nothing_left(pod)
