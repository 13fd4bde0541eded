"""Whatever is missing of a saved state, the comparison with an undisturbed run finds it."""

import random
import shutil
import textwrap

import fault_jobs
import fault_runs as runs
import pytest

from rnn_tui.runs.control import send
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import read_status
from rnn_tui.training import checkpoint

NOISY = '''
    """An LSTM with noise from each of the generators that a stranger's cell may use."""

    import random

    import numpy as np
    import torch
    from rnn_tui_scratch.lstm import LSTM

    class Noisy(LSTM):
        def step(self, x, state):
            y, state = super().step(x, state)
            if self.training:
                y = y + 0.01 * (torch.rand(1) + np.random.random() + random.random())
            return y, state
    '''

SETTINGS = {
    "model": {"arch": "noisy", "hidden_size": 8},
    "optim": {
        "lr": 0.2,
        "warmup_steps": 0,
        "clip": 0.1,
        "schedule": "plateau",
        "plateau_patience": 1,
        "factor": 0.7,
    },
    "budget": {"steps": 150, "patience": 6},
    "watch": {"log_every": 4, "validate_every": 3, "sample_length": 10},
    "checkpoint": {"every_steps": 1000},
}


@pytest.fixture
def noisy(tmp_path, monkeypatch):
    """A plugin `noisy`, as an installer would leave it."""
    site = tmp_path / "site"
    metadata = site / "noisy-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "noisy.py").write_text(textwrap.dedent(NOISY))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[rnn_tui.architectures]\nnoisy = noisy:Noisy\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))


def telling_step(whole):
    """A step between two points of the curve, soon after the best validation of all: nothing that is lost there is made
    good by a better one, and both the rate and the early stopping wait."""
    best = read_status(whole).best_step
    return best + (4 if best % 4 else 5)


def noticed(stopped, part, whole):
    """Resume a copy of a stopped run to its end, with a part of its state lost; return how that shows."""
    run = RunFolder(stopped.path.with_name(f"resumed-{part.replace(' ', '-').replace(':', '')}"))
    shutil.copytree(stopped.path, run.path)
    code = runs.server().fork("train", run, spoil=part).wait()
    return [f"refused with {code}"] if code else runs.differences(run, whole)


def test_each_part_of_the_state_that_is_lost_is_noticed(tmp_path, noisy, amount, seed, figures):
    text = runs.write_text(tmp_path)
    whole = runs.undisturbed(tmp_path, "whole", text, **SETTINGS)
    stopped = runs.small_run(tmp_path / "runs", "stopped", text, **SETTINGS)
    assert runs.server().fork("train", stopped, stop=telling_step(whole)).wait() == 0
    progress = checkpoint.find(stopped.checkpoints)[0].load()[1]["progress"]
    # what is 0 is not lost when it is set to 0
    telling = ("plateau_bad", "stale", "epoch", "window", "clipped", "summed", "predicted", "best_step")
    assert all(progress[name] for name in telling), progress
    assert progress["plateau"] < 1
    assert noticed(stopped, "", whole) == []
    parts = [part for part in fault_jobs.SPOILED if part != "applied changes"]
    parts = amount(random.Random(seed).sample(parts, 12), parts)
    found = {part: noticed(stopped, part, whole) for part in parts}
    assert all(found.values()), [part for part in parts if not found[part]]
    refused = sum("refused" in differences[0] for differences in found.values())
    figures(
        "state",
        f"{len(parts)} of {len(parts)} parts that are lost are noticed, {refused} of them refused at once",
    )
    silent = sum(not any("train" in one for one in differences) for differences in found.values())
    figures("state", f"{silent - refused} of them do not show in the training curve")


def test_a_change_that_is_forgotten_to_be_applied_is_noticed(tmp_path, figures):
    """Two rates are set, and the run is stopped, at one step: only the second counts."""
    text = runs.write_text(tmp_path)
    whole = runs.undisturbed(tmp_path, "whole", text, rates=[(0, 0.01), (0, 0.02)])
    stopped = runs.small_run(tmp_path / "runs", "stopped", text)
    with RunLock.acquire(stopped):
        for rate in (0.01, 0.02):
            send(stopped, "set", {"lr": rate})
        send(stopped, "stop")
    assert runs.server().fork("train", stopped).wait() == 0
    assert runs.events(stopped)[-1].step == 0
    assert noticed(stopped, "", whole) == []
    assert "state: progress.base_lr" in noticed(stopped, "applied changes", whole)
    figures("state", "an applied change that is forgotten is applied again; noticed")
