"""A run that is killed again and again, at any moment, ends with the bits of one that was left alone."""

import itertools
import random
import shutil
import signal
import time

import fault_runs as runs
import pytest

from rnn_tui.runs.status import read_status

CASES = {
    "loop": {},
    "nn-lstm": {
        "model": {"arch": "nn-lstm", "hidden_size": 12, "num_layers": 2, "dropout": 0.2},
        "data": {"seq_len": 8, "seq_len_min": 4, "batch_size": 4, "sampling": "random"},
        "optim": {
            "optimizer": "sgd",
            "momentum": 0.9,
            "schedule": "plateau",
            "plateau_patience": 0,
            "lr": 0.05,
        },
    },
    "eager, 2 threads": {"runtime": {"engine": "eager", "threads": 2, "device": "cpu"}},
    "compiled": {"runtime": {"engine": "compiled", "exact": True, "threads": 1, "device": "cpu"}},
    "gru, aligned": {
        "model": {"arch": "gru", "hidden_size": 12, "bidirectional": True},
        "task": {"name": "aligned"},
        "optim": {"optimizer": "adam", "amsgrad": True, "schedule": "step", "step_every": 20},
    },
    "rnn, series": {
        "model": {"arch": "rnn", "hidden_size": 12, "num_layers": 2, "dropout": 0.2},
        "task": {"name": "series"},
        "optim": {"optimizer": "rmsprop", "momentum": 0.5, "lr": 0.002},
        "checkpoint": {"every_steps": 1},
    },
    "patience": {"budget": {"steps": 90, "patience": 2}, "optim": {"lr": 0.2, "warmup_steps": 5}},
    "lstm, 2 threads": {"runtime": {"engine": "loop", "threads": 2, "device": "cpu"}},
}
SHORT = ("loop", "nn-lstm", "compiled", "rnn, series")


def source(folder, case):
    name = CASES[case].get("task", {}).get("name")
    return {"aligned": runs.write_pairs, "series": runs.write_numbers}.get(name, runs.write_text)(folder)


def kill_until_done(run, generator, most=100, **breaks):
    """Work on `run` until it is complete, killing its worker at random, at most so many times.

    Returns:
        The kills, those inside a save, and what is wrong where it ends otherwise.
    """
    kills = inside = 0
    while True:
        child = runs.server().fork("train", run, **breaks)
        # a quarter anywhere in its beginning, the rest once it goes on with the log, however long that took
        if generator.random() < 0.75:
            runs.wait_for_growth(run.events_path, child)
        child.ended(generator.uniform(0.0, 0.25))
        code = child.kill() if kills < most else child.wait()
        if code >= 0:  # it had ended before
            return kills, inside, [f"exit code {code}: {run.log_path.read_text()[-300:]}"] if code else []
        kills += 1
        inside += runs.in_a_save(run)
        if runs.complete(run):  # it was about to end
            return kills, inside, []


def test_killed_at_any_moment_and_resumed_equals_undisturbed(tmp_path, amount, seed, figures):
    """Random moments, in every phase of a worker's life, until enough of them fell inside a save."""
    wanted, wanted_inside = amount((10, 3), (200, 50))
    cases = {case: CASES[case] for case in amount(SHORT, CASES)}
    generator, begin = random.Random(seed), time.monotonic()
    wholes = {
        case: runs.undisturbed(tmp_path, f"whole-{number}", source(tmp_path, case), **settings)
        for number, (case, settings) in enumerate(cases.items())
    }
    kills = inside = finished = 0
    for case in itertools.cycle(cases):
        run = runs.small_run(tmp_path / "runs", f"killed-{finished}", source(tmp_path, case), **cases[case])
        # one that is traced and compiled takes a second to begin
        most = amount(2 if case == "compiled" else 100, 100)
        one, saves, found = kill_until_done(run, generator, most)
        found = found or runs.differences(run, wholes[case]) + runs.faults_of_log(run)
        assert not found, f"{case}: {found}"
        kills, inside, finished = kills + one, inside + saves, finished + 1
        if kills >= wanted and inside >= wanted_inside and finished >= len(cases):
            break
        assert kills < 10 * wanted, "hardly any kill falls into a save"
    figures(
        "kills",
        f"0 of {finished} runs of {len(cases)} kinds differ after {kills} kills, {inside} of them inside a save "
        f"({time.monotonic() - begin:.0f} s)",
    )


def test_a_worker_that_forgets_something_is_found_out_by_kills(tmp_path, seed, figures):
    text = runs.write_text(tmp_path)
    whole, run = runs.undisturbed(tmp_path, "whole", text), runs.small_run(tmp_path / "runs", "killed", text)
    kills, _, wrong = kill_until_done(run, random.Random(seed), spoil="torch RNG")
    assert kills
    assert not wrong
    found = runs.differences(run, whole)
    assert "state: head.weight" in found
    figures("kills", f"broken: torch's generator is not restored; found, {len(found)} differences")


# -- chosen moments ----------------------------------------------------------------------------------------------

BEST_IN_THE_MIDDLE = {
    "budget": {"steps": 21},
    "checkpoint": {"every_steps": 3},
    "watch": {"log_every": 4, "validate_every": 7, "sample_length": 10},
    "optim": {"optimizer": "sgd", "momentum": 0.9, "lr": 1.0, "schedule": "constant", "warmup_steps": 0},
}
"""Three validations, of which the second is the best."""


def killed_before(folder, whole, moments, **breaks):
    """Kill a run before each of `moments` and resume it; return how many were killed, and all that is wrong."""
    found, killed = [], 0
    for what, number in moments:
        run = runs.small_run(folder / "runs", f"{what}-{number}", folder / "words.txt", **BEST_IN_THE_MIDDLE)
        killed += runs.server().fork("train", run, kill=[what, number]).wait() == -signal.SIGKILL
        if not runs.complete(run):
            runs.server().fork("train", run, **breaks).wait()
        found += [f"{run.name}: {what}" for what in runs.differences(run, whole) + runs.faults_of_log(run)]
        shutil.rmtree(run.path)
    return killed, found


@pytest.fixture
def whole(tmp_path):
    """An undisturbed run of `BEST_IN_THE_MIDDLE`."""
    return runs.undisturbed(tmp_path, "whole", runs.write_text(tmp_path), **BEST_IN_THE_MIDDLE)


def test_killed_before_any_event_or_publication_it_comes_to_the_same_end(
    tmp_path, whole, amount, seed, figures
):
    """In the short form before the last events, where most was wrong once."""
    events = len(runs.events(whole))
    moments = (
        [("event", number) for number in range(1, events + 1)]
        + [("link", n) for n in range(1, 6)]
        + [("ended", 1)]
    )
    generator = random.Random(seed)
    chosen = amount(
        [*generator.sample(moments[:-9], 2), *generator.sample(moments[events - 4 :], 4)], moments
    )
    killed, found = killed_before(tmp_path, whole, chosen)
    assert not found, "\n".join(found)
    assert killed == len(chosen)
    figures("kills", f"0 of {killed} differ, killed before each event of the log and each model published")


def test_the_moments_at_which_something_could_be_lost_or_told_twice_are_tried(
    tmp_path, whole, monkeypatch, figures
):
    assert read_status(whole).best_step == 14
    killed, found = killed_before(tmp_path, whole, [("link", 5)], broken="of_step")
    assert killed
    assert "link-5: model file: step" in found
    figures("kills", "broken: the best model is not published by the next attempt; found")
    monkeypatch.setattr(runs, "effective", list)
    killed, found = killed_before(tmp_path, whole, [("event", len(runs.events(whole)))])
    assert killed
    assert "event-26: twice: (21, 'evaluation')" in found
    figures("kills", "broken: what two attempts measured at a step counts twice; found")
