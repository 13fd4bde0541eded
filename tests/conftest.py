"""What every test may use: a private home, and one thread so that timings and results are steady."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["COLORTERM"] = "truecolor"  # Textual asks when it is imported


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
    for name in list(os.environ):
        if name.startswith("RNN_TUI_") and not name.endswith("_DIR"):
            monkeypatch.delenv(name)
    return home
