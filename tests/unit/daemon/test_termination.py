"""SIGTERM is received whichever thread it meets."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"

#: The main thread waits; the signal is given to another one, as the kernel may when a thread is just being made.
PROGRAM = """
import signal, sys, threading
sys.path.insert(0, {source!r})
from multus.daemon import termination
end = termination.Termination()
def other():
    print("ready", flush=True)
    {action}
    threading.Event().wait()
threading.Thread(target=other, daemon=True).start()
end.wait()
print("ended", flush=True)
"""


def start(action: str) -> subprocess.Popen[bytes]:
    program = PROGRAM.format(source=str(SOURCE), action=action)
    return subprocess.Popen([sys.executable, "-I", "-c", program], stdout=subprocess.PIPE)


def test_signal_that_another_thread_receives() -> None:
    """The main thread does not sleep on."""
    process = start("signal.pthread_kill(threading.get_ident(), signal.SIGTERM)")
    out, _ = process.communicate(timeout=30)
    assert out == b"ready\nended\n"
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_the_process(number: signal.Signals) -> None:
    """Both signals end it in an orderly way."""
    process = start("pass")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert (out, process.returncode) == (b"ended\n", 0)
