"""How fast a run goes and how often it looks: what is timed, and what comes of it."""

from types import SimpleNamespace

import pytest
import torch

from rnn_tui.model.device import cpu_count
from rnn_tui.tasks.task import Batch
from rnn_tui.training import pace
from rnn_tui.training.config import resolve
from rnn_tui.training.pace import exact_pace, first_positions, probe_of, race, round_125, timed_pace


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.01, 1), (1, 1), (1.9, 1), (2, 2), (4.99, 2), (5, 5), (19, 10), (49, 20), (3000, 100)],
)
def test_round_125(value, rounded):
    assert round_125(value) == rounded


def config(**sections):
    return resolve([("test", sections)]).config


def test_exact_runs_choose_without_timing():
    settings = config(runtime={"exact": True, "threads": 2}, budget={"steps": 400})
    found = exact_pace(settings, 400)
    assert (found.threads, found.log_every, found.validate_every) == (2, 10, 20)
    assert torch.get_num_threads() == 2
    assert exact_pace(config(runtime={"exact": True}), None).threads == max(1, cpu_count() // 2)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass as a test says."""
    now = [0.0]
    for module in ("rnn_tui.model.device", "rnn_tui.training.pace"):
        monkeypatch.setattr(f"{module}.time.perf_counter", lambda: now[0])
    return now


class Trained:
    """What of a trainer is timed: each position of a batch takes so many seconds."""

    def __init__(self, clock, lengths, seconds, **sections):
        self.config = config(**sections)
        self.model = SimpleNamespace(device=torch.device("cpu"))
        self.task = SimpleNamespace(validation_positions=2000)
        self.total_steps = 10_000
        self.rehearsed = []
        ids = [torch.arange(2 * length).view(2, length) for length in lengths]
        self.batches = _Batches([Batch(x, x + 1) for x in ids])

        def rehearse(batch):
            self.rehearsed.append(batch.inputs.shape[1])
            clock[0] += seconds * batch.inputs.shape[1]

        self.update = SimpleNamespace(rehearse=rehearse)


class _Batches(list):
    def batch(self, index):
        return self[index]


def test_the_batch_that_is_timed_is_a_middling_one(clock):
    trainer = Trained(clock, [3, 90, 40, 1, 50], seconds=1e-4)
    probe = probe_of(trainer)
    assert (probe.batch.inputs.shape, probe.scale, probe.positions) == ((2, 40), 1.0, 80)


def test_a_long_window_is_timed_in_part(clock):
    trainer = Trained(clock, [100], seconds=0.025)  # 2.5 s a step
    probe = probe_of(trainer)
    assert probe.batch.inputs.tolist() == [[0, 1, 2, 3], [100, 101, 102, 103]]  # four are a tenth of a second
    assert (probe.scale, probe.positions) == (25.0, 200)
    assert trainer.rehearsed == [4, 4]
    probe = probe_of(Trained(clock, [100], seconds=0.005))
    assert (probe.batch.inputs.shape, probe.scale) == ((2, 20), 5.0)


def test_rows_that_end_earlier_still_do():
    ids = torch.arange(12).view(2, 6)
    cut = first_positions(Batch(ids, ids, torch.tensor([6, 2])), 4)
    assert cut.lengths.tolist() == [4, 2]
    assert cut.inputs.shape == cut.targets.shape == (2, 4)


def test_intervals_are_of_whole_steps(clock):
    """Two seconds a step, of which a twentieth is timed: a point for each, and a validation after twenty."""
    trainer = Trained(clock, [100], seconds=0.02, runtime={"threads": 1})
    found = timed_pace(trainer, probe_of(trainer))
    # 0.4 * 2 s * 2000 / 200 positions = 8 s a validation, so one in 40 s
    assert (found.threads, found.log_every, found.validate_every) == (1, 1, 20)
    assert max(trainer.rehearsed) == 5


def test_a_race_is_run_in_turn_and_leaves_the_first_in_force(clock):
    order = []
    seconds = {"eager": iter([9e-1, 0.3, 0.2, 0.4]), "loop": iter([0.5, 0.6, 0.5, 0.7])}

    def step():
        clock[0] += next(seconds[order[-1]])

    result = race(step, lambda: order.append("eager"), lambda: order.append("loop"))
    assert result == (
        pytest.approx(0.2),
        pytest.approx(0.5),
    )  # the first of each, 0.9 and 0.5, does not count
    assert order == ["eager", "loop"] * 4 + ["eager"]


def test_the_way_over_time_is_what_device_and_exactness_allow(monkeypatch):
    taken = []
    monkeypatch.setattr(pace, "take_engine", lambda trainer, engine: taken.append(engine))
    monkeypatch.setattr(pace, "probe_of", lambda trainer: None)
    monkeypatch.setattr(pace, "timed_pace", lambda trainer, probe: pace.Pace(1, 1, 1))

    def first(engine, device="cpu", **runtime):
        trainer = SimpleNamespace(
            config=config(runtime={"engine": engine, **runtime}),
            model=SimpleNamespace(device=torch.device(device), engine=lambda: ("own", "")),
            total_steps=10,
            update=SimpleNamespace(engine=lambda: ("own", "")),
        )
        assert pace.first_pace(trainer).engine == "own"
        return taken.pop()

    assert first("auto") == first("auto", exact=True) == first("eager") == "eager"
    assert first("compiled") == "eager"  # until it is compiled
    assert first("compiled", exact=True) == "compiled"
    assert first("loop") == "loop"
    assert first("auto", "cuda") == first("graph", "cuda") == "graph"
