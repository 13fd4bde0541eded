"""Curves of a run over its steps, and how far it was at each: in epochs, tokens and seconds. Pure."""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

AXES = ("step", "epoch", "tokens", "time")
"""What a curve can be drawn over."""
_FIELDS = {"epoch": "epoch", "tokens": "tokens", "time": "elapsed"}
"""Axis → the field of a `train` event; `elapsed` is time of training, so pauses and the time between attempts are no
part of it."""


@dataclass
class Track:
    """One measured quantity over steps; compact, since a long run has a million points."""

    steps: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, step: float, value: float) -> None:
        """Append a point, in the place of the last one if that is of the same step."""
        if self.steps and self.steps[-1] == step:
            self.values[-1] = value
            return
        self.steps.append(step)
        self.values.append(value)

    def cut(self, step: float) -> None:
        """Drop the points after `step`."""
        keep = len(self.steps)
        while keep and self.steps[keep - 1] > step:
            keep -= 1
        del self.steps[keep:], self.values[keep:]

    @property
    def last(self) -> float | None:
        """The newest value, if there is one."""
        return self.values[-1] if self.values else None

    def __len__(self) -> int:
        return len(self.steps)


class Clock:
    """How far a run was at each point of its curve. Values never fall: an epoch that begins anew stands still."""

    def __init__(self) -> None:
        self._tracks = {axis: Track() for axis in _FIELDS}

    def add(self, step: int, data: Mapping[str, Any]) -> None:
        """Take in the data of a `train` event."""
        from rnn_tui.runs.events import number

        for axis, key in _FIELDS.items():
            value, track = number(data.get(key)), self._tracks[axis]
            if math.isfinite(value):
                track.add(step, max(value, track.last or 0.0))

    def cut(self, step: float) -> None:
        """Drop what lies after `step`."""
        for track in self._tracks.values():
            track.cut(step)

    def knows(self, axis: str) -> bool:
        """Whether places on this axis are known."""
        return axis == "step" or len(self._tracks[axis]) > 0

    def pace(self, axis: str) -> float:
        """Return how much of it a step has been so far; 0 while that is unknown."""
        track = self._tracks[axis]
        return track.values[-1] / track.steps[-1] if track.steps and track.steps[-1] > 0 else 0.0

    def places(self, axis: str, steps: "array[float]") -> Sequence[float]:
        """Return where ascending `steps` lie on `axis`.

        The points of the curve are those of the clock, which is not copied then: they may be a million.
        """
        if axis == "step":
            return steps
        track = self._tracks[axis]
        ends = (track.steps[:1], track.steps[-1:]) == (steps[:1], steps[-1:])
        return track.values if ends and len(track) == len(steps) else self.between(axis, steps)

    def between(self, axis: str, steps: Sequence[float]) -> list[float]:
        """Return where any `steps` lie on `axis`, those between two points of the curve in proportion.

        After the newest point the clock stands still until the next one comes.
        """
        track = self._tracks.get(axis)
        if track is None or not len(track):
            return list(steps)
        import numpy as np

        known, values, wanted = np.frombuffer(track.steps), np.frombuffer(track.values), np.array(steps)
        first = wanted * (values[0] / known[0]) if known[0] > 0 else np.zeros(len(wanted))
        found: list[float] = np.where(wanted < known[0], first, np.interp(wanted, known, values)).tolist()
        return found
