"""How long a scorecard will take, from what its parts took on one machine of four cores with nothing else to do.

Free of torch.
"""

import heapq
from collections.abc import Sequence

from rnn_tui.score.wire import Job

TRAINING = {
    False: {"copy": 30.0, "adding": 20.0, "reber": 4.0, "brackets": 9.0, "text": 9.0},
    True: {"copy": 2.5, "adding": 2.0, "brackets": 3.0, "text": 4.0},
}
"""Seconds of processor time for one seed of a group of tasks, `rnn`, `gru` and `lstm` of 20,000 parameters; by whether
it is quick."""
PARAMETERS = 20_000
GROWTH = 0.6
"""The power of the parameters that the time grows with: ten times as many took three to five times as long."""
BUILDING = 1.5
"""Seconds until a job trains: its model is built and traced."""
RACING = {False: 4.0, True: 2.5}
"""Seconds for the speeds of one architecture."""
STARTING = 3.0


def seconds(jobs: Sequence[Job], cores: int, racing: int, *, quick: bool) -> float:
    """Return the seconds on the clock for `jobs`, taken in order by whatever core is free, and then a race.

    Args:
        racing: architectures whose speeds are measured, one after the other.
    """
    busy = [0.0] * cores
    for job in jobs:
        larger = max(1.0, job.parameters / PARAMETERS) ** GROWTH
        training = len(job.seeds) * TRAINING[quick].get(job.what, 0.0) * larger
        heapq.heapreplace(busy, busy[0] + BUILDING + min(training, job.limit))
    return STARTING + max(busy) + racing * RACING[quick]


def roughly(seconds: float) -> str:
    """In words: to ten seconds, from a minute and a half on to minutes."""
    return f"{max(1, round(seconds / 10)) * 10} s" if seconds < 90 else f"{round(seconds / 60)} minutes"
