"""Forecasting a series of numbers: each row from those before it."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from rnn_tui.corpus.series import PreparedSeries
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.plugin.core import State
from rnn_tui.tasks.config import DataConfig
from rnn_tui.tasks.evaluation import evaluation_mode, positions_at_once
from rnn_tui.tasks.metrics import default_lanes
from rnn_tui.tasks.rows import plan_rows, simple_losses
from rnn_tui.tasks.task import Batch, Measured
from rnn_tui.tasks.windows import Plan

WARM = 1024
"""The most rows that are read before those that are measured, so that the state knows what came before them."""


@dataclass(frozen=True)
class RowEpoch:
    """One pass over the training rows, see `Epoch`."""

    plan: Plan
    values: npt.NDArray[np.float32]

    @property
    def carried(self) -> bool:
        return self.plan.carried

    def __len__(self) -> int:
        return len(self.plan)

    def batch(self, index: int) -> Batch:
        positions = self.plan.starts[index][:, None] + np.arange(self.plan.lengths[index] + 1)  # (B, T + 1)
        rows = torch.from_numpy(self.values[positions])  # (B, T + 1, C)
        return Batch(rows[:, :-1], rows[:, 1:])


class Series:
    """Numbers, each row forecast from those before it, see `Task`.

    The loss is the mean squared error over rows and columns, of the scaled numbers; `mse` and its root `rmse` are in
    the units of the data, with several columns the mean of their squared errors.
    """

    unit = "squared error"
    measures = ("mse", "rmse")

    def __init__(
        self, series: PreparedSeries, data: DataConfig, *, seed: int, validation_rows: int = 0
    ) -> None:
        """Read the splits of `series`.

        Args:
            seed: of the order of the windows.
            validation_rows: validate on the first so many rows of the split; 0: on all of it.
        """
        self._series, self._data, self._seed = series, data, seed
        self._values = series.scaling.apply(series.values)  # (n, C)
        self.train = self._values[: series.splits["train"].end]
        split = series.splits.get("validation")
        if split and validation_rows:
            split = replace(split, end=min(split.end, split.begin + validation_rows))
        self.validation = split

    @property
    def validation_positions(self) -> int:
        if self.validation is None:
            return 0
        lanes, stretch, warm = _layout(self.validation.begin, self.validation.end)
        return lanes * (warm + stretch - 1)

    def epoch(self, number: int) -> RowEpoch:
        return RowEpoch(plan_rows(len(self.train), self._data, seed=self._seed, epoch=number), self.train)

    def loss(self, model: RecurrentModel, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        features, state = model(batch.inputs, state)  # (B, T, O)
        targets = batch.targets  # (B, T, C)
        if self._data.loss_on == "last":
            features, targets = features[:, -1], targets[:, -1]
        return functional.mse_loss(model.outputs(features), targets), targets.numel(), state

    def validate(self, model: RecurrentModel) -> Measured | None:
        if self.validation is None:
            return None
        begin, end = self.validation.begin, self.validation.end
        errors = one_step_errors(model, self._values, begin, end)  # (C,)
        mse = float((errors * np.square(self._series.scaling.std)).mean())
        figures = {"mse": mse, "rmse": math.sqrt(mse)}
        return Measured(float(errors.mean()), (end - begin) * len(errors), figures)

    @cached_property
    def _baselines(self) -> dict[str, float]:
        return simple_losses(self._series, self.validation) if self.validation else {}

    def facts(self) -> dict[str, Any]:
        validation = self.validation.end - self.validation.begin if self.validation else 0
        return {
            "columns": list(self._series.scaling.columns),
            "rows_train": len(self.train),
            "rows_validation": validation,
            "tokens_train": len(self.train),
            "tokens_validation": validation,
            "baselines": self._baselines,
        }


def _layout(begin: int, end: int) -> tuple[int, int, int]:
    """Return how the rows from `begin` to `end` are measured: lanes side by side, rows in each, rows read before."""
    lanes = default_lanes(end - begin)
    return lanes, -(-(end - begin) // lanes), min(begin, WARM)


@torch.inference_mode()
def one_step_errors(
    model: RecurrentModel, values: npt.NDArray[np.float32], begin: int, end: int
) -> npt.NDArray[np.float64]:
    """Return the mean squared error of forecasting each row from `begin` to before `end` when all before it are known.

    A long stretch is read in lanes side by side. Each reads up to `WARM` rows before its own first, whichever split
    they are in, so that the state knows what came before. The model's mode is left as it was.

    Args:
        values: (n, C), scaled; begin is at least 1.

    Returns:
        (C,), scaled.
    """
    lanes, stretch, warm = _layout(begin, end)
    firsts = begin + np.arange(lanes)[:, None] * stretch  # (lanes, 1): the first row that each forecasts
    squares = torch.zeros(values.shape[1], dtype=torch.float64)
    with evaluation_mode(model):
        state = model.initial_state(lanes)
        window = positions_at_once(model.device, lanes)
        for position in range(-warm, stretch - 1, window):
            read = np.arange(position, min(position + window, stretch - 1))
            indices = np.minimum(
                firsts + read, end - 1
            )  # (lanes, T); what follows the last row is not counted
            features, state = model(torch.from_numpy(values[indices]).to(model.device), state)
            counted = (read >= -1) & (firsts + read + 1 < end)
            if counted.any():
                targets = values[np.minimum(indices + 1, end - 1)]  # (lanes, T, C)
                errors = model.outputs(features).cpu().double() - torch.from_numpy(targets)
                squares += errors[torch.from_numpy(counted)].square().sum(0)
    result: npt.NDArray[np.float64] = squares.numpy() / (end - begin)
    return result
