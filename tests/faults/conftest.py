"""What is promised when something fails, measured: each test gives figures, printed as one table at the end.

The short form is part of `make test`. `make faults` is the long one, with the counts of docs/reliability.md. Every
random choice comes from one seed, printed above the table; RNN_TUI_FAULTS_SEED repeats a run of it.
"""

import os
import sys
import time
from pathlib import Path

import pytest

LONG = os.environ.get("RNN_TUI_FAULTS") == "long"
if LONG and not os.environ.get("RNN_TUI_FAULTS_SEED"):  # the same in all processes of pytest-xdist
    os.environ["RNN_TUI_FAULTS_SEED"] = str(time.time_ns() % 10**9)
SEED = int(os.environ.get("RNN_TUI_FAULTS_SEED") or 1)

ROWS = {
    "kills": "kill -9 at a random moment, resumed",
    "processes": "kill -9 of whole commands",
    "preempted": "SIGTERM, SIGINT, stop, pause at a random moment, resumed",
    "state": "a part of the state left out is noticed",
    "fresh": "fresh processes, the same bits",
    "power": "power cut at any operation",
    "writes": "each operation on files fails once",
    "full disk": "a disk that is full for a while",
    "models": "hostile model files",
    "flips": "each flipped byte of a checkpoint is noticed",
    "log": "event log cut and damaged",
    "requests": "hostile requests; rates set while being killed",
    "lock": "racing starters and odd locks",
    "divergence": "loss that is not finite, or explodes",
    "memory": "out of memory",
    "signals": "signals and terminals",
    "terminal": "hostile text on screens and in commands",
    "plugins": "bad plugins",
    "corpora": "hostile corpora, names and settings",
    "ways in": "sockets, permissions, links, downloads",
    "cost": "what safety costs",
}
"""The rows of the table, in its order."""


def pytest_configure(config):
    here = str(Path(__file__).parent)
    if here not in sys.path:  # what several of these tests share stands beside them
        sys.path.insert(0, here)


@pytest.fixture
def amount():
    """Choose how much of something a test does: `amount(short, long)`."""
    return lambda short, long: long if LONG else short


@pytest.fixture
def seed():
    """The seed of everything random in these tests."""
    return SEED


@pytest.fixture
def figures(request):
    """Note what was measured: `figures("kills", "0 of 200 differ")`; several lines may share a row."""

    def note(row, text):
        assert row in ROWS
        request.node.user_properties.append(("figures", (row, text)))

    return note


def pytest_terminal_summary(terminalreporter):
    noted = [
        (list(ROWS).index(row), row, text)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, (row, text) in report.user_properties
        if name == "figures"
    ]
    if not (LONG and noted):
        return
    terminalreporter.section(f"faults, seed {SEED}")
    for _, row, text in sorted(noted):
        terminalreporter.write_line(f"{ROWS[row]:<56}  {text}")
