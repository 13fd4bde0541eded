"""How many threads a process takes, by timing its own steps."""

import os

import pytest
import torch

from rnn_tui.model import device


@pytest.fixture(autouse=True)
def threads_as_they_were():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def machine(monkeypatch):
    """A machine of so many cores with a load, on which a step takes so many milliseconds by the number of threads."""

    def made(milliseconds, *, cores=8, load=0.1):
        clock = [0.0]
        monkeypatch.setattr(device, "cpu_count", lambda: cores)
        monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
        monkeypatch.setattr(device.time, "perf_counter", lambda: clock[0])
        steps = []

        def step():
            threads = torch.get_num_threads()
            steps.append(threads)
            clock[0] += milliseconds[threads] / 1000

        step.taken = steps
        step.spent = lambda: clock[0]
        return step

    return made


@pytest.mark.parametrize(("cores", "load", "free"), [(8, 0.1, 7), (8, 5.2, 3), (8, 30.0, 1), (1, 0.0, 1)])
def test_cores_that_others_leave_free(machine, cores, load, free):
    machine({}, cores=cores, load=load)
    assert device.free_cores() == free


EVEN = {1: 40, 2: 20, 3: 14, 4: 11, 6: 9, 7: 8, 8: 7}


@pytest.mark.parametrize(
    ("milliseconds", "load", "best"),
    [
        (EVEN, 0.1, 8),
        (EVEN | {8: 7.8}, 0.1, 7),  # all cores must be clearly better than all but one
        (EVEN | {6: 12, 7: 13, 8: 14}, 0.1, 4),
        ({1: 40, 2: 100}, 0.1, 1),  # a busy machine: no more is tried once it gets much worse
        ({1: 9000, 7: 2000}, 0.1, 7),  # slow steps: the limit ends the search but for one number
        ({1: 9000, 4: 3000}, 3.6, 4),  # the cores that are free
        ({1: 9000}, 30.0, 1),
    ],
    ids=["all", "all but one", "half", "one", "slow", "slow and busy", "slow and overloaded"],
)
def test_the_fastest_number_of_threads_wins(machine, milliseconds, load, best):
    step = machine(milliseconds, load=load)
    threads, seconds = device.best_threads(step)
    assert threads == best == torch.get_num_threads()
    assert seconds == pytest.approx(milliseconds[best] / 1000)


def test_no_more_threads_than_the_most(machine):
    assert device.best_threads(machine(EVEN), most=4)[0] == 4


def test_an_evaluation_that_is_soon_over_stays_on_one_thread(machine):
    torch.set_num_threads(4)
    step = machine(EVEN)
    assert device.evaluation_threads(step, 20) == 1
    assert step.taken == [1, 1]
    assert torch.get_num_threads() == 1


def test_a_long_evaluation_times_its_steps_and_keeps_to_the_threads_it_was_given(machine):
    torch.set_num_threads(4)  # as OMP_NUM_THREADS=4 does
    step = machine(EVEN)
    assert device.evaluation_threads(step, 1000) == torch.get_num_threads() == 4
    assert set(step.taken) == {1, 2, 3, 4}
    assert step.spent() < 2.2


def test_a_very_long_evaluation_may_search_longer(machine):
    torch.set_num_threads(8)
    step = machine({threads: 40 * ms for threads, ms in EVEN.items()})  # 1.6 s on one thread
    assert device.evaluation_threads(step, 1000) == 8
    assert step.spent() < 1600 / 50 + 2
