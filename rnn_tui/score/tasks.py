"""The tasks of the scorecard, in the order in which they are shown."""

from collections.abc import Sequence

from rnn_tui.score.adding import Adding
from rnn_tui.score.brackets import Brackets
from rnn_tui.score.copying import Copying
from rnn_tui.score.reber import Reber
from rnn_tui.score.task import ScoreTask
from rnn_tui.score.text import Text


def all_tasks(*, quick: bool = False) -> dict[str, Sequence[ScoreTask]]:
    """Return the tasks by the name of their group. Those of a group have the same inputs, and each is a training.

    Args:
        quick: fewer updates and fewer lags, for a first look. The grammar is left out: what is learnt of it in so few
            updates says nothing of memory.
    """
    if quick:
        return {
            "copy": [Copying(5, (10, 20), updates=900)],
            "adding": [Adding(20, (50, 100), updates=700)],
            "brackets": [Brackets(updates=500)],
            "text": [Text(updates=300)],
        }
    return {
        "copy": [*map(Copying, (10, 30, 100)), Copying(200, (400,))],
        "adding": [*map(Adding, (10, 30, 100)), Adding(200, (400,))],
        "reber": [Reber()],
        "brackets": [Brackets()],
        "text": [Text()],
    }
