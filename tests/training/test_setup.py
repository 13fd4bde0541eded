import random

import numpy as np
import pytest
import torch

from rnn_tui.errors import UsageError
from rnn_tui.model.device import pick_device
from rnn_tui.model.precision import set_precision
from rnn_tui.training.setup import (
    keep_memory,
    refuse_inexact_kernels,
    same_randomness,
    warm_up_math,
)


@pytest.fixture(autouse=True)
def threads_as_they_were():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_missing_device_is_named():
    assert pick_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match=r"device cuda is not here.*finds cpu"):
            pick_device("cuda")


def test_tf32_is_refused_where_auto_finds_a_device_without_it():
    with pytest.raises(UsageError, match="tf32 exists on cuda only, not on cpu"):
        set_precision("tf32", torch.device("cpu"))


def test_exact_runs_take_deterministic_kernels_on_cuda(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # a user's own choice stays
    try:
        refuse_inexact_kernels(torch.device("cpu"))
        assert not torch.are_deterministic_algorithms_enabled()
        refuse_inexact_kernels(torch.device("cuda"))
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_the_warm_up_leaves_the_thread_count():
    torch.set_num_threads(2)
    warm_up_math()
    assert torch.get_num_threads() == 2


def test_keeping_memory_harms_nothing(monkeypatch):
    keep_memory()
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())  # a C library without mallopt
    keep_memory()


def test_what_is_drawn_within_is_not_missing_afterwards():
    def draw():
        return torch.rand(()).item(), np.random.random(), random.random()

    with same_randomness():
        first = draw()
    assert draw() == first
    with same_randomness():
        second = draw()
    assert draw() == second != first
