import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.series import prepare_series
from rnn_tui.errors import UsageError
from rnn_tui.inference import forecast as module
from rnn_tui.inference.forecast import EVENT_BYTES, evaluate_series, forecast, forecast_event
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin import Cell
from rnn_tui.runs.eventline import RECORD_LIMIT, Event, encode
from rnn_tui.tasks.config import DataConfig
from rnn_tui.tasks.series import Series


class Pair(Cell):
    """A state of two parts, one of them a dict."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.all = nn.Linear(input_size + 2 * hidden_size, 2 * hidden_size)
        self.output_size = hidden_size

    def initial_state(self, batch_size, *, device=None, dtype=None):
        zeros = torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)
        return zeros, {"c": zeros.clone()}

    def step(self, x, state):
        h, c = self.all(torch.cat([x, state[0], state[1]["c"]], -1)).chunk(2, -1)
        c = (0.5 * state[1]["c"] + c).tanh()
        return h.tanh() + c, (h.tanh(), {"c": c})


class Copy(Cell):
    """Shows its input."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.output_size = input_size

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, 1, device=device, dtype=dtype)

    def step(self, x, state):
        return x, state


@pytest.fixture
def series(tmp_path):
    """Two columns, 50 rows: 30, 12 and 8."""
    made = np.random.default_rng(0)
    rows = np.stack([made.normal(5, 3, 50), made.normal(0, 0.01, 50).cumsum()], 1)
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
    return prepare_series(CorpusConfig(source=str(tmp_path / "t.csv"), validation=0.24, test=0.16))


@pytest.fixture
def model():
    torch.manual_seed(3)
    return build_model(Pair, {}, ModelConfig(hidden_size=5, num_layers=2, dropout=0.5), columns=2)


@pytest.fixture
def copying():
    """A model that forecasts the row that it has just read."""
    model = build_model(Copy, {}, ModelConfig(hidden_size=1), columns=2)
    with torch.no_grad():
        model.head.weight.copy_(torch.eye(2))
        model.head.bias.zero_()
    return model


def by_hand(model, series, row, k):
    """One forecast: read the truth from the first row to row - k, then go on alone."""
    if row < k:
        return np.full(2, np.nan)
    values = torch.from_numpy(series.scaling.apply(series.values))
    model.eval()
    with torch.no_grad():
        state = model.initial_state(1)
        for index in range(row - k + 1):
            output, state = model.step(values[index : index + 1], state)
        for _ in range(k - 1):
            output, state = model.step(output, state)
    return output[0].numpy() * np.array(series.scaling.std) + series.scaling.mean


@pytest.mark.parametrize("horizons", [(1,), (1, 3, 8, 20), (33, 2), (5, 40), (60,)])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_each_forecast_is_the_one_made_at_its_origin(series, model, split, horizons):
    model.train()
    made = forecast(model, series, split=split, horizons=horizons)
    assert model.training
    part = series.split(split)
    assert (made.columns, made.begin) == (("a", "b"), part.begin)
    np.testing.assert_array_equal(made.truth, series.values[part.begin : part.end])
    assert sorted(made.forecasts) == sorted(horizons)
    for k, lines in made.forecasts.items():
        expected = np.array([by_hand(model, series, row, k) for row in range(part.begin, part.end)])
        np.testing.assert_allclose(lines, expected, rtol=1e-4, atol=1e-5)
        squares = ((expected - made.truth) ** 2)[~np.isnan(expected).any(1)]
        assert made.errors[k] == pytest.approx(
            squares.mean() if len(squares) else math.nan, rel=1e-4, nan_ok=True
        )


def test_a_model_that_copies_is_persistence(series, copying):
    made = forecast(copying, series, horizons=(1, 4, 16))
    for k in (1, 4, 16):
        np.testing.assert_allclose(made.forecasts[k], series.values[30 - k : 42 - k], rtol=1e-5, atol=1e-6)
        expected = ((series.values[30 - k : 42 - k] - series.values[30:42]) ** 2).mean()
        assert made.persistence[k] == pytest.approx(expected)
        assert made.errors[k] == pytest.approx(expected, rel=1e-5)


def test_one_step_ahead_is_the_validation_of_training(series, model):
    measured = Series(series, DataConfig(), seed=1).validate(model)
    assert forecast(model, series).errors[1] == pytest.approx(measured.figures["mse"], rel=1e-5)


def test_the_first_rows_of_a_split(series, model):
    whole, part = forecast(model, series), forecast(model, series, limit=3)
    for k in (1, 4, 16, 64):
        np.testing.assert_allclose(part.forecasts[k], whole.forecasts[k][:3], rtol=1e-5)
    assert math.isnan(part.errors[64])


def test_a_past_that_is_longer_than_what_is_read(series, model, monkeypatch):
    whole = forecast(model, series, horizons=(1, 4))
    monkeypatch.setattr(module, "WARM", 20)
    np.testing.assert_allclose(
        forecast(model, series, horizons=(1, 4)).forecasts[4], whole.forecasts[4], rtol=1e-3
    )


@pytest.mark.parametrize("block", [2000, 5])
def test_the_report_of_a_split(series, model, monkeypatch, block):
    made = forecast(model, series, split="test", horizons=(1, 4, 45, 64))
    monkeypatch.setattr(module, "_BLOCK", block)
    reports = evaluate_series(model, series, split="test", horizons=(64, 1, 4, 45))
    assert [(report.horizon, report.rows) for report in reports] == [(1, 8), (4, 8), (45, 5), (64, 0)]
    mean = series.values[:30].mean(0)
    for report in reports[:3]:
        truth = series.values[50 - report.rows :]
        assert report.mse == pytest.approx(made.errors[report.horizon], rel=1e-5)
        assert report.rmse == pytest.approx(report.mse**0.5)
        assert report.persistence == pytest.approx(made.persistence[report.horizon])
        assert report.mean == pytest.approx(((truth - mean) ** 2).mean())
    assert math.isnan(reports[3].mse)


def test_a_model_that_runs_away_has_no_finite_error(series, copying):
    with torch.no_grad():
        copying.head.weight.mul_(1e30)
    made = forecast(copying, series, horizons=(1, 2))
    assert not math.isfinite(made.errors[2])
    event = forecast_event(made)
    assert event["errors"]["2"] is None
    assert event["forecasts"]["2"] == [None] * 12
    json.dumps(event, allow_nan=False)


def test_an_unknown_split(series, model):
    with pytest.raises(UsageError, match="did you mean 'test'"):
        forecast(model, series, split="tset")


def test_an_event_holds_the_first_column(series, model):
    made = forecast(model, series, split="train", horizons=(1, 4))
    event = forecast_event(made)
    assert {key: event[key] for key in ("columns", "begin", "every")} == {
        "columns": ["a"],
        "begin": 0,
        "every": 1,
    }
    assert event["truth"] == pytest.approx(made.truth[:, 0].tolist(), abs=np.ptp(made.truth[:, 0]) / 400)
    assert event["forecasts"]["4"][:4] == [None] * 4
    assert event["forecasts"]["4"][4] == pytest.approx(made.forecasts[4][4, 0], abs=0.05)
    assert event["errors"] == pytest.approx({"1": made.errors[1], "4": made.errors[4]}, rel=1e-5)
    assert event["persistence"] == pytest.approx(
        {"1": made.persistence[1], "4": made.persistence[4]}, rel=1e-5
    )
    json.dumps(event, allow_nan=False)


def test_an_event_fits_in_a_line_of_the_log(copying, tmp_path):
    rows = np.random.default_rng(0).normal(0, 1e6, (1500, 2))
    (tmp_path / "t").write_text("".join(f"{a} {b}\n" for a, b in rows))
    series = prepare_series(CorpusConfig(source=str(tmp_path / "t"), validation=0.9))
    made = forecast(copying, series, horizons=(1, 4, 16, 64, 100, 101, 102, 103))
    event = forecast_event(made)
    lists = [event["truth"], *event["forecasts"].values()]
    assert len({len(line) for line in lists}) == 1
    assert len(json.dumps(lists, separators=(",", ":"))) <= EVENT_BYTES
    assert len(event["truth"]) == math.ceil(1350 / event["every"]) > 30
    assert event["truth"][3] == pytest.approx(made.truth[3 * event["every"], 0], abs=np.ptp(rows) / 200)
    logged = encode(Event(123456, 1, 1.7e9, "forecast", 123456, event))
    assert len(logged) <= RECORD_LIMIT
    few = forecast_event(forecast(copying, series, horizons=(1,), limit=390))
    assert few["every"] * len(few["truth"]) == 390
