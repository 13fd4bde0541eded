"""How the rows of a series become windows, and what forecasts that need no model score. Free of torch."""

from rnn_tui.corpus.series import PreparedSeries, SeriesSplit
from rnn_tui.errors import InputError
from rnn_tui.tasks.config import DataConfig
from rnn_tui.tasks.windows import Plan, plan_epoch


def plan_rows(rows: int, data: DataConfig, *, seed: int, epoch: int) -> Plan:
    """Return the windows of one epoch over `rows` rows; a row is what a token is to `plan_epoch`.

    Raises:
        InputError: when not one batch fits; says what to change.
    """
    return plan_epoch(
        rows,
        sampling=data.sampling,
        batch_size=data.batch_size,
        seq_len=data.seq_len,
        seq_len_min=data.seq_len_min,
        seed=seed,
        epoch=epoch,
        noun="rows",
    )


def check_series(series: PreparedSeries, data: DataConfig, *, seed: int) -> None:
    """Raise InputError unless the training rows fill one batch and hold something to learn."""
    train = series.splits["train"]
    plan_rows(train.end, data, seed=seed, epoch=0)
    rows = series.values[: train.end]
    if (rows == rows[0]).all():
        raise InputError(
            f"{series.name}: every training row holds the same numbers, so there is nothing to learn; give a series "
            "that changes"
        )


def simple_losses(series: PreparedSeries, split: SeriesSplit) -> dict[str, float]:
    """Return the mean squared error, scaled, of two forecasts of each row of a split, which must not be the first.

    `mean`: the mean of the training rows. `persistence`: the row before.
    """
    scaled = series.scaling.apply(series.values).astype("float64")  # (n, C)
    truth = scaled[split.begin : split.end]
    mean = scaled[: series.splits["train"].end].mean(0)
    before = scaled[split.begin - 1 : split.end - 1]
    return {"mean": float(((truth - mean) ** 2).mean()), "persistence": float(((truth - before) ** 2).mean())}
