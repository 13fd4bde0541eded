"""Every task through the same worker."""

import numpy as np
import pytest

from rnn_tui.errors import UsageError
from rnn_tui.model.file import load_model, load_series
from rnn_tui.model.header import read_header
from rnn_tui.runs.events import number

TASKS = {
    "aligned": {
        "task": {"name": "aligned"},
        "model": {"arch": "lstm", "hidden_size": 8, "bidirectional": True},
    },
    "series": {"task": {"name": "series", "horizons": [1, 4]}, "model": {"arch": "gru", "hidden_size": 8}},
}


@pytest.mark.parametrize("task", list(TASKS))
def test_every_task_resumes_as_if_undisturbed(make, pairs, numbers, task):
    """The loop and the checkpoint know none of them; what a run shows is of its task."""
    source = pairs if task == "aligned" else numbers
    more = TASKS[task]
    whole, parts = make("whole", source, **more), make("parts", source, **more)
    assert whole.train() == 0
    parts.stop_at(7)
    assert parts.train() == 0
    parts.stop_at(18)
    assert parts.train() == 0
    assert parts.train() == 0
    assert parts.fingerprint() == whole.fingerprint()
    assert parts.curve() == whole.curve()
    start = whole.events()[0].data
    unit, measures = {
        "aligned": ("nats per label", ["accuracy", "exact"]),
        "series": ("squared error", ["mse", "rmse"]),
    }[task]
    assert (start["task"], start["unit"], start["measures"]) == (task, unit, measures)
    shown = {"aligned": "transcription", "series": "forecast"}[task]
    assert {e.kind for e in whole.events()} >= {shown, "validation", "train", "checkpoint"}
    assert not {e.kind for e in whole.events()} & {"sample", "warning", "error"}
    check = [e.data for e in whole.events() if e.kind == "validation"][-1]
    assert all(number(check[name]) >= 0 for name in measures)


def test_a_model_file_holds_what_its_task_reads(make, tmp_path, pairs, numbers):
    for task, source in (("aligned", pairs), ("series", numbers)):
        run = make(task, source, **TASKS[task])
        assert run.train() == 0
        header = read_header(run.model_path)
        assert header.task == task
        assert (header.tokenizer is None, header.scaling is None) == (task == "series", task == "aligned")
    model, scaling, _ = load_series(run.model_path)
    rows = np.loadtxt(numbers, delimiter=",", skiprows=1)[:360]
    assert scaling.columns == ("a", "b")
    np.testing.assert_allclose(scaling.mean, rows.mean(0), rtol=1e-6)
    assert model.output_size == 2
    with pytest.raises(UsageError, match="series of numbers"):
        load_model(run.model_path)
    with pytest.raises(UsageError, match="trained on tokens"):
        load_series((tmp_path / "runs" / "aligned") / "model.safetensors")
