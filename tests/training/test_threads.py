"""The search for a number of threads: a clock that says what each costs, in quiet and in noise."""

import random

import pytest
import torch

from rnn_tui.model import device
from rnn_tui.model.device import best_threads, thread_counts, time_threads


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rnn_tui.model.device.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(device, "free_cores", lambda: 6)
    return now


def cores(monkeypatch, count):
    monkeypatch.setattr(device, "cpu_count", lambda: count)


@pytest.mark.parametrize(
    ("count", "tried"),
    [
        (1, [1]),
        (2, [1, 2]),
        (4, [1, 2, 3, 4]),
        (8, [1, 2, 3, 4, 6, 7, 8]),
        (20, [1, 2, 3, 4, 6, 8, 12, 16, 19, 20]),
    ],
)
def test_numbers_that_are_tried(count, tried):
    assert thread_counts(count) == tried


@pytest.mark.parametrize(
    ("milliseconds", "best"),
    [
        ({1: 40, 2: 20, 3: 15, 4: 10, 6: 13, 7: 12, 8: 11}, 4),
        # all cores must be clearly better than all but one
        ({1: 40, 2: 30, 3: 20, 4: 15, 6: 10, 7: 9.0, 8: 8.9}, 7),
        ({1: 40, 2: 30, 3: 20, 4: 15, 6: 10, 7: 9.0, 8: 8.0}, 8),
        ({1: 40, 2: 100}, 1),  # a busy machine: no more is tried once it gets much worse
        ({1: 900, 2: 800, 6: 300}, 6),  # slow steps: the limit leaves time for one more
    ],
)
def test_the_fastest_number_of_threads_wins(monkeypatch, clock, milliseconds, best):
    cores(monkeypatch, 8)

    def step():
        clock[0] += milliseconds[torch.get_num_threads()] / 1000

    threads, seconds = best_threads(step)
    assert threads == best == torch.get_num_threads()
    assert seconds == pytest.approx(milliseconds[best] / 1000)


def test_no_more_than_allowed(monkeypatch, clock):
    cores(monkeypatch, 8)

    def step():
        clock[0] += 0.01 / torch.get_num_threads()

    assert sorted(time_threads(step, most=3)) == [1, 2, 3]


@pytest.mark.parametrize("seed", range(20))
def test_lucky_moments_do_not_win(monkeypatch, clock, seed):
    """Four threads are the fastest where no one else wants a core, and that is one time in five."""
    cores(monkeypatch, 4)
    generator = random.Random(seed)
    seconds = {1: 0.040, 2: 0.022, 3: 0.016, 4: 0.012}

    def usual(threads):
        return seconds[threads] * (1 if threads < 4 else 0.2 * 1 + 0.8 * 4)

    def step():
        threads = torch.get_num_threads()
        disturbed = threads == 4 and generator.random() > 0.2
        clock[0] += seconds[threads] * (4 if disturbed else 1) * generator.uniform(0.97, 1.03)

    begin = clock[0]
    threads, _ = best_threads(step)
    assert usual(threads) <= min(map(usual, seconds)) / 0.9
    assert clock[0] - begin < 2.1


@pytest.mark.parametrize("seed", range(20))
def test_one_bad_moment_does_not_end_the_search(monkeypatch, clock, seed):
    cores(monkeypatch, 4)
    generator = random.Random(seed)

    def step():
        bad = 6 if generator.random() < 0.05 else 1
        clock[0] += 0.030 / torch.get_num_threads() ** 0.7 * bad * generator.uniform(0.97, 1.03)

    assert best_threads(step)[0] in (3, 4)  # 14 and 11 ms; two threads take 18
