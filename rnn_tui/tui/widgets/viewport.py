"""Zooming and panning, as arithmetic on an axis: on a logarithmic one equal steps of a key are equal factors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnn_tui.tui.widgets.scales import Axis

Window = tuple[float, float]
_LEAST = 1e-6
"""The share of everything that is shown at the closest."""


def zoomed(axis: Axis, at: float, factor: float) -> Window:
    """Return `factor` times as much of the axis, where what lies at the fraction `at` stays in its place."""
    at = min(max(at, 0.0), 1.0)
    return axis.value(at - at * factor), axis.value(at + (1 - at) * factor)


def panned(axis: Axis, share: float) -> Window:
    """Return the axis moved by a share of its length."""
    return axis.value(share), axis.value(1 + share)


def kept(window: Window, bounds: Axis) -> Window | None:
    """Return the window moved or cut so that it lies within `bounds`; None if it is all of them."""
    low, high = bounds.place(window).tolist()
    span = high - low
    if span >= 1 - 1e-9 or math.isnan(span):
        return None
    if span < _LEAST:
        low, span = (low + high - _LEAST) / 2, _LEAST
    low = min(max(low, 0.0), 1 - span)
    return bounds.value(low), bounds.value(low + span)


def followed(axis: Axis, last: float) -> Window:
    """Return the window moved on by quarters of its length until `last` is in it."""
    quarters = math.ceil(4 * (float(axis.place(last)) - 1) - 1e-9)
    return panned(axis, max(quarters, 0) / 4)
