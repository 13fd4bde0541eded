import math
from typing import Any

import pytest

from rnn_tui.runs.events import Event
from rnn_tui.tui.history import History
from rnn_tui.tui.overlay import overlay


def history(unit: str, loss: float, **start: Any) -> History:
    found = History()
    found.add(
        [
            Event(1, 1, 0.0, "start", 0, {"unit": unit, **start}),
            Event(2, 1, 0.0, "train", 5, {"loss": 9.0}),
            Event(3, 1, 0.0, "validation", 10, {"loss": loss}),
        ]
    )
    return found


def test_runs_of_one_unit_are_drawn_as_they_are() -> None:
    drawn = overlay([history("nats per token", loss, chars_per_token=1.0) for loss in (2.0, 1.5)])
    assert drawn.title == "validation loss, nats per token"
    assert [(s.name, list(s.x), list(s.y)) for s in drawn.series] == [
        ("1", [10.0], [2.0]),
        ("2", [10.0], [1.5]),
    ]
    assert drawn.note == ""


def test_words_and_characters_are_compared_in_bits_per_character() -> None:
    words = history("nats per token", 4.0, chars_per_token=4.0)
    characters = history("nats per token", 1.5, chars_per_token=1.0)
    drawn = overlay([words, characters])
    assert drawn.title == "validation loss, bits per character"
    # 4 nats for a word of 4 characters are 1 nat each, and 1 nat is 1 / ln 2 bits
    assert [s.y[0] for s in drawn.series] == pytest.approx([1 / math.log(2), 1.5 / math.log(2)])


def test_losses_of_another_kind_are_left_out_and_named() -> None:
    drawn = overlay(
        [
            history("squared error", 0.1),
            history("nats per token", 1.5, chars_per_token=1.0),
            history("squared error", 0.2),
        ]
    )
    assert [(s.name, s.colour, s.y[0]) for s in drawn.series] == [("1", 0, 0.1), ("3", 2, 0.2)]
    assert drawn.title == "validation loss, squared error"
    assert drawn.note == "Not in the chart, because their losses are of another kind: 2 in nats per token."


def test_nothing_marked() -> None:
    assert overlay([]).series == []
