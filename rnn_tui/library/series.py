"""Forecasts after numbers that a program has at hand."""

import numpy as np
import numpy.typing as npt
import torch

from rnn_tui.corpus.series import Floats, Scaling
from rnn_tui.errors import UsageError
from rnn_tui.library import arguments
from rnn_tui.model.recurrent_model import RecurrentModel
from rnn_tui.tasks.evaluation import evaluation_mode


@torch.inference_mode()
def go_on(model: RecurrentModel, scaling: Scaling, values: npt.ArrayLike, steps: int) -> Floats:
    """Return the next `steps` rows, (steps, C) or (steps,); see `Model.forecast`.

    Raises:
        UsageError: for values of another shape, or that are not finite.
    """
    columns = len(scaling.columns)
    steps = arguments.whole("steps", steps, 1)
    try:
        rows = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"values must be an array of numbers: {error}") from None
    flat = rows.ndim == 1 and columns == 1
    if flat:
        rows = rows[:, None]
    if rows.ndim != 2 or rows.shape[1] != columns or not len(rows):
        raise UsageError(
            f"values must be rows of {columns} columns ({', '.join(scaling.columns)}), an array of the shape "
            f"(N, {columns}) with N from 1, not {np.shape(values)}"
        )
    if not np.isfinite(rows).all():
        raise UsageError("values must be finite; leave out or fill in what is missing")
    inputs = torch.from_numpy(scaling.apply(rows)).to(model.device)[None]  # (1, N, C)
    made = []
    with evaluation_mode(model):
        features, state = model(inputs, model.initial_state(1))
        output = model.outputs(features[:, -1])  # (1, C)
        for _ in range(steps):
            made.append(output)
            if len(made) < steps:
                output, state = model.step(output, state)
    found = scaling.invert(torch.cat(made).cpu().numpy())
    return found[:, 0] if flat else found
