import numpy as np
import pytest
import torch
from torch import nn

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.series import prepare_series
from rnn_tui.errors import InputError
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.model.state import detach
from rnn_tui.plugin import Cell
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.tasks import series as module
from rnn_tui.tasks.config import DataConfig
from rnn_tui.tasks.rows import check_series
from rnn_tui.tasks.series import Series, one_step_errors


class Elman(Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.x = nn.Linear(input_size, hidden_size)
        self.h = nn.Linear(hidden_size, hidden_size, bias=False)
        self.output_size = hidden_size

    def initial_state(self, batch_size, *, device=None, dtype=None):
        return torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)

    def step(self, x, state):
        state = torch.tanh(self.x(x) + 0.5 * self.h(state))
        return state, state


@pytest.fixture
def series(tmp_path):
    """Two columns in very different units, 90 rows, 60 of them to train on."""
    made = np.random.default_rng(0)
    rows = np.stack([made.normal(5, 3, 90).cumsum(), made.normal(0, 0.01, 90)], 1)
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in rows))
    return prepare_series(CorpusConfig(source=str(tmp_path / "t.csv"), validation=1 / 3))


@pytest.fixture
def model():
    torch.manual_seed(3)
    return build_model(Elman, {}, ModelConfig(hidden_size=6, dropout=0.5), columns=2)


def by_hand(model, values, begin, end):
    """One row at a time, from the very first."""
    model.eval()
    state, squares = model.initial_state(1), []
    with torch.no_grad():
        for row in range(end - 1):
            output, state = model.step(torch.from_numpy(values[row : row + 1]), state)
            if row + 1 >= begin:
                squares.append((output[0].numpy().astype(np.float64) - values[row + 1]) ** 2)
    return np.mean(squares, 0)


def test_batches_are_rows_and_the_rows_after_them(series):
    task = Series(series, DataConfig(seq_len=7, batch_size=2), seed=1)
    train = series.scaled("train")
    epoch = task.epoch(3)
    assert epoch.carried
    assert len(epoch) >= 3
    place = {row.tobytes(): index for index, row in enumerate(train)}
    ends = None
    for index in range(len(epoch)):
        batch = epoch.batch(index)
        assert batch.inputs.shape == batch.targets.shape == (2, 7, 2)
        assert batch.inputs.dtype == batch.targets.dtype == torch.float32
        at = np.array([[place[row.numpy().tobytes()] for row in lane] for lane in batch.inputs])
        assert (np.diff(at) == 1).all()
        np.testing.assert_array_equal(batch.targets.numpy(), train[at + 1])
        if ends is not None:
            np.testing.assert_array_equal(at[:, 0], ends)  # goes on where the one before ended
        ends = at[:, -1] + 1
    assert not Series(series, DataConfig(sampling="random", seq_len=7, batch_size=2), seed=1).epoch(0).carried


@pytest.mark.parametrize("loss_on", ["all", "last"])
def test_the_loss_is_the_mean_squared_error(series, model, loss_on):
    model.eval()
    task = Series(series, DataConfig(seq_len=5, batch_size=3, loss_on=loss_on), seed=1)
    batch = task.epoch(0).batch(0)
    state, errors = model.initial_state(3), []
    for position in range(5):
        output, state = model.step(batch.inputs[:, position], state)
        errors.append((output - batch.targets[:, position]) ** 2)
    expected = torch.stack(errors).mean() if loss_on == "all" else errors[-1].mean()
    loss, count, after = task.loss(model, batch, model.initial_state(3))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(after, state)
    assert count == (30 if loss_on == "all" else 6)


def test_validation_has_read_the_training_rows(series, model):
    task = Series(series, DataConfig(seq_len=5, batch_size=3), seed=1)
    values = series.scaling.apply(series.values)
    expected = by_hand(model, values, 60, 90)  # (2,)
    model.train()
    measured = task.validate(model)
    assert model.training
    assert measured.loss == pytest.approx(expected.mean(), rel=1e-5)
    assert measured.count == 60
    mse = (expected * np.square(series.scaling.std)).mean()
    assert tuple(measured.figures) == task.measures
    assert measured.figures == pytest.approx({"mse": mse, "rmse": mse**0.5}, rel=1e-5)
    assert task.validation_positions == 60 + 29  # the last row predicts nothing
    first = Series(series, DataConfig(), seed=1, validation_rows=4).validate(model)
    assert first.count == 8
    assert first.loss == pytest.approx(by_hand(model, values, 60, 64).mean(), rel=1e-5)


@pytest.mark.parametrize(("lanes", "warm"), [(1, 25), (3, 40), (7, 1000), (29, 30)])
def test_lanes_and_a_bounded_past_change_little(series, model, monkeypatch, lanes, warm):
    monkeypatch.setattr(module, "default_lanes", lambda _: lanes)
    monkeypatch.setattr(module, "WARM", warm)
    monkeypatch.setattr("rnn_tui.tasks.evaluation.TOKENS_AT_ONCE", 8 * lanes)
    values = series.scaling.apply(series.values)
    np.testing.assert_allclose(
        one_step_errors(model, values, 60, 90), by_hand(model, values, 60, 90), rtol=1e-5
    )
    np.testing.assert_allclose(one_step_errors(model, values, 1, 90), by_hand(model, values, 1, 90), rtol=0.2)


def test_no_validation_split(tmp_path, model):
    (tmp_path / "t").write_text("".join(f"{i} {i % 3}\n" for i in range(20)))
    task = Series(
        prepare_series(CorpusConfig(source=str(tmp_path / "t"), validation=0.0)), DataConfig(), seed=1
    )
    assert task.validate(model) is None
    assert task.validation_positions == 0
    assert task.facts()["baselines"] == {}


def test_facts_by_hand(tmp_path):
    (tmp_path / "t").write_text("x\n1\n3\n5\n7\n")
    prepared = prepare_series(CorpusConfig(source=str(tmp_path / "t"), validation=0.5))
    # mean 2, deviation 1: the validation rows are 3 and 5, the mean is 0, the rows before are 1 and 3
    assert Series(prepared, DataConfig(), seed=1).facts() == {
        "columns": ["x"],
        "rows_train": 2,
        "rows_validation": 2,
        "tokens_train": 2,
        "tokens_validation": 2,
        "baselines": {"mean": (9 + 25) / 2, "persistence": 4.0},
    }


def test_what_cannot_be_learned(tmp_path):
    (tmp_path / "t").write_text("x\n" + "1\n2\n" * 50)
    prepared = prepare_series(CorpusConfig(source=str(tmp_path / "t"), validation=0.5))
    check_series(prepared, DataConfig(seq_len=7, batch_size=7), seed=1)
    with pytest.raises(
        InputError, match=r"has 50 rows, too few for one batch of 5 windows of 10 \(that takes 51\)"
    ):
        check_series(prepared, DataConfig(seq_len=10, batch_size=5), seed=1)
    (tmp_path / "flat").write_text("2,1\n" * 50 + "3,4\n")
    flat = prepare_series(CorpusConfig(source=str(tmp_path / "flat"), validation=0.02))
    with pytest.raises(InputError, match="every training row holds the same numbers"):
        check_series(flat, DataConfig(seq_len=5, batch_size=2), seed=1)


def test_a_small_gru_beats_persistence_on_the_sine():
    prepared = prepare_series(CorpusConfig(source="sine", validation=0.4))
    task = Series(prepared, DataConfig(sampling="random", seq_len=32, batch_size=16), seed=1)
    torch.manual_seed(1)
    model = build_model(load_plugin("architecture", "nn-gru"), {}, ModelConfig(hidden_size=16), columns=1)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for number in range(150):
        batch = task.epoch(number).batch(0)
        loss, _, _ = task.loss(model, batch, detach(model.initial_state(16)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    measured = task.validate(model)
    assert measured.loss < 0.7 * task.facts()["baselines"]["persistence"]
    assert 0.04 < measured.figures["mse"] < 0.055  # no less than the noise
