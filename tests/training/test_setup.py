import pytest
import torch

from rnn_tui.errors import UsageError
from rnn_tui.model.device import pick_device
from rnn_tui.training.config import resolve
from rnn_tui.training.setup import (
    best_threads,
    choose_pace,
    keep_memory,
    race,
    refuse_inexact_kernels,
    round_125,
    set_precision,
    warm_up_math,
)


@pytest.fixture(autouse=True)
def threads_as_they_were():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.01, 1), (1, 1), (1.9, 1), (2, 2), (4.99, 2), (5, 5), (19, 10), (49, 20), (3000, 100)],
)
def test_round_125(value, rounded):
    assert round_125(value) == rounded


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


@pytest.mark.parametrize(
    ("milliseconds", "best"),
    [
        ({1: 40, 2: 20, 3: 15, 4: 10, 7: 12, 8: 11}, 4),
        (
            {1: 40, 2: 30, 3: 20, 4: 15, 7: 9.0, 8: 8.9},
            7,
        ),  # all cores must be clearly better than all but one
        ({1: 40, 2: 30, 3: 20, 4: 15, 7: 9.0, 8: 8.0}, 8),
        ({1: 40, 2: 100}, 1),  # a busy machine: no more is tried once it gets much worse
        ({1: 900, 2: 800}, 2),  # slow steps: the limit ends the search
    ],
)
def test_the_fastest_number_of_threads_wins(monkeypatch, milliseconds, best):
    clock = [0.0]
    monkeypatch.setattr("rnn_tui.training.setup.cpu_count", lambda: 8)
    monkeypatch.setattr("rnn_tui.training.setup.time.perf_counter", lambda: clock[0])

    def step():
        clock[0] += milliseconds[torch.get_num_threads()] / 1000

    threads, seconds = best_threads(step)
    assert threads == best == torch.get_num_threads()
    assert seconds == pytest.approx(milliseconds[best] / 1000)


def test_exact_runs_choose_without_timing():
    config = resolve([("x", {"runtime": {"exact": True, "threads": 2}, "budget": {"steps": 400}})]).config

    def never():
        raise AssertionError("timed")

    pace = choose_pace(
        config, torch.device("cpu"), never, tokens_per_step=1, validation_tokens=1, total_steps=400
    )
    assert (pace.threads, pace.log_every, pace.validate_every) == (2, 10, 20)


def test_a_race_is_run_in_turn_and_leaves_the_first_in_force(monkeypatch):
    now, order = [0.0], []
    monkeypatch.setattr("rnn_tui.training.setup.time.perf_counter", lambda: now[0])
    seconds = {"eager": iter([9e-1, 0.3, 0.2, 0.4]), "loop": iter([0.5, 0.6, 0.5, 0.7])}

    def step():
        now[0] += next(seconds[order[-1]])

    result = race(step, lambda: order.append("eager"), lambda: order.append("loop"))
    assert result == (
        pytest.approx(0.2),
        pytest.approx(0.5),
    )  # the first of each, 0.9 and 0.5, does not count
    assert order == ["eager", "loop"] * 4 + ["eager"]


def test_a_race_of_slow_steps_is_not_run(monkeypatch):
    now, order = [0.0], []
    monkeypatch.setattr("rnn_tui.training.setup.time.perf_counter", lambda: now[0])

    def step():
        now[0] += 3.0

    assert race(step, lambda: order.append("eager"), lambda: order.append("loop")) is None
    assert order == ["eager", "eager"]


def test_keeping_memory_harms_nothing(monkeypatch):
    keep_memory()
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())  # a C library without mallopt
    keep_memory()
