"""What every test may use: a private home, and one thread so that timings and results are steady."""

import asyncio
import os
import signal
import time

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# where several threads are the subject: waiting for each other in a loop, they take the cores from other processes
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["COLORTERM"] = "truecolor"  # Textual asks when it is imported
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell hands this on to what it starts in the background, and pytest to all the programs that are tested here
    signal.signal(signal.SIGINT, signal.default_int_handler)


def shared_folder(tmp_path_factory):
    """Return a folder of this session that all of its processes share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory, monkeypatch):
    """No test reads or writes the user's own folders."""
    home = tmp_path_factory.mktemp("home")
    for name in ("CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"RNN_TUI_{name}_DIR", str(home / name.lower()))
    # the cache holds only what can be made again: one for all processes of the session saves describing plugins, and
    # compiling what another test has compiled
    monkeypatch.setenv("RNN_TUI_CACHE_DIR", str(shared_folder(tmp_path_factory) / "cache"))
    for name in (
        "RNN_TUI_PLUGINS",
        "RNN_TUI_PLUGINS_DIR",
    ):  # a command that runs in this process may set them
        monkeypatch.setenv(name, "")
    for name in list(os.environ):
        if name.startswith("RNN_TUI_") and (not name.endswith("_DIR") or name == "RNN_TUI_PLUGINS_DIR"):
            monkeypatch.delenv(name)
    return home


@pytest.fixture
def patient_pilot(monkeypatch):
    """Have Textual's pilot wait until an app has done all that it can do at once, before it goes on.

    Its own measure is the processor time of the process: where other processes take the cores, an app that has much to
    do looks idle to it, and what a test expects right after a key has not come yet.
    """
    from textual import app, pilot

    real = pilot.wait_for_idle

    async def nothing_to_do():
        # what the loop would call next; empty while all wait for something
        ready = asyncio.get_running_loop()._ready
        quiet, deadline = 0, time.monotonic() + 60
        while quiet < 3 and time.monotonic() < deadline:
            await asyncio.sleep(0)
            quiet = 0 if ready else quiet + 1

    async def wait_for_idle(*seconds):
        await nothing_to_do()
        await real(*seconds)  # time for a frame, and for what threads are at
        await nothing_to_do()

    monkeypatch.setattr(pilot, "wait_for_idle", wait_for_idle)
    monkeypatch.setattr(app, "wait_for_idle", wait_for_idle)
