"""How many threads a process beside a trainer takes."""

import os

import pytest
import torch

from rnn_tui.model import device


@pytest.mark.parametrize(
    ("cores", "load", "allowed", "threads"),
    [(8, 0.1, 8, 7), (8, 5.2, 8, 3), (8, 30.0, 8, 1), (1, 0.0, 1, 1), (8, 0.1, 2, 2)],
    ids=["idle", "busy", "overloaded", "one core", "OMP_NUM_THREADS=2"],
)
def test_threads_are_those_that_others_leave_free(monkeypatch, cores, load, allowed, threads):
    taken = []
    monkeypatch.setattr(device, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(torch, "get_num_threads", lambda: allowed)
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    device.leave_one_core()
    assert taken == [threads]
