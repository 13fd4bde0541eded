import math
from typing import Any

import pytest
from rich.cells import cell_len

from rnn_tui.runs.events import Event
from rnn_tui.tui import figures, notes_view
from rnn_tui.tui import format as f
from rnn_tui.tui.history import History
from rnn_tui.tui.widgets.lines import Line


def text(line: Line) -> str:
    return "".join(span[0] for span in line)


def history(*events: tuple[str, int, dict[str, Any]]) -> History:
    found = History()
    found.add([Event(i, 1, 0.0, kind, step, data) for i, (kind, step, data) in enumerate(events)])
    return found


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.5, "0.5"), (12.34, "12.3"), (999.7, "1k"), (41_234, "41.2k"), (1.25e6, "1.25M")],
)
def test_short(value: float | None, shown: str) -> None:
    assert f.short(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0, "0:00"), (75, "1:15"), (3599.6, "1h00"), (7500, "2h05"), (187_200, "2d04h")],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert f.duration(seconds) == shown


def test_numbers_that_are_none_are_shown() -> None:
    assert f.loss(math.nan) == "nan"
    assert f.rate(math.inf) == "inf"
    assert f.short(math.nan) == "nan"
    assert f.short(4.4758e36) == "4.48e36"
    assert f.rate(0.004) == "4.00e-3"
    assert f.loss(1.6523) == "1.652"
    assert f.count(1234567) == "1,234,567"


def test_sparkline() -> None:
    assert f.sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert f.sparkline([0, 2, 6, 8], 2) == "▁█"  # means 1 and 7
    assert f.sparkline([5, 5, 5], 3) == "▄▄▄"
    assert f.sparkline([1, math.nan, 2], 3) == "▁×█"
    assert f.sparkline([], 5) == ""
    assert f.sparkline([1, 2], 2, ascii=True).isascii()


def test_flat_figures_by_hand() -> None:
    found = history(
        ("start", 0, {"chars_per_token": 1.0, "measures": ["perplexity", "bpc", "bpb"]}),
        ("train", 10, {"loss": 2.0, "lr": 0.004, "grad_norm": 0.5, "tokens_per_second": 41_234.0}),
        ("validation", 10, {"loss": math.log(8), "perplexity": 8.0, "bpc": 3.0, "bpb": 3.0}),
    )
    lines = [text(line) for line in figures.figures_flat(found, 78)]
    assert lines[0].split()[:4] == ["train", "2.000", "perplexity", "8.000"]
    assert lines[1].split()[:4] == ["validation", "2.079", "bpc", "3.000"]
    assert lines[2].split()[:6] == ["best", "2.079", "at", "10", "bpb", "3.000"]
    assert "4.00e-3" in lines[0]
    assert "0.500" in lines[1]
    assert "41k" in lines[2]
    assert all(cell_len(line) <= 78 for line in lines)


def test_the_measures_are_those_of_the_task() -> None:
    found = history(
        ("start", 0, {"unit": "squared error", "measures": ["mse", "rm\x1bse"]}),
        ("train", 10, {"loss": 2.0, "lr": 0.004}),
        ("validation", 10, {"loss": 0.25, "mse": 0.04, "rm\x1bse": 0.2}),
    )
    lines = [text(line) for line in figures.figures_flat(found, 78)]
    assert lines[0].split()[2:5] == ["mse", "0.040", "lr"]
    assert lines[1].split()[2:4] == ["rm␛se", "0.200"]
    assert "perplexity" not in "".join(lines)
    tall = [text(line).split() for line in figures.figures_tall(found, 46)]
    assert ["mse", "0.040"] in tall


def test_without_validation_the_loss_of_training_gives_what_it_can() -> None:
    start = {"unit": "nats per token", "measures": ["perplexity", "bpc", "bpb"], "chars_per_token": 1.0}
    found = history(("start", 0, start), ("train", 1, {"loss": math.log(8)}))
    assert found.measures() == [
        ("perplexity", pytest.approx(8.0)),
        ("bpc", pytest.approx(3.0)),
        ("bpb", None),
    ]
    labels = history(
        ("start", 0, {"unit": "nats per label", "measures": ["accuracy"]}), ("train", 1, {"loss": 1.0})
    )
    assert labels.measures() == [("accuracy", None)]


def test_the_final_evaluation() -> None:
    found = history(
        ("start", 0, {"unit": "nats per token"}),
        (
            "evaluation",
            9,
            {
                "split": "validation", "warm": {"loss": 1.5}, "cold": {"loss": 1.75}, "window": 64,
                "train_loss": 1.25, "gap": 0.25,
            },
        ),
        ("end", 9, {"reason": "finished"}),
    )  # fmt: skip
    tall = [text(line) for line in figures.figures_tall(found, 46)]
    assert [line.split()[:2] for line in tall[-4:]] == [
        ["warm", "1.500"], ["cold", "1.750"], ["train", "1.250"], ["gap", "0.250"],
    ]  # fmt: skip
    assert "fresh windows of 64" in tall[-3]
    assert all(cell_len(line) <= 46 for line in tall)
    assert text(notes_view.notes(found, 1, final=True)[0]) == (
        "evaluation warm 1.500, cold 1.750, train 1.250, gap 0.250 nats per token"
    )
    assert "finished" in text(notes_view.notes(found, 1)[0])


def test_a_training_split_alone_has_no_gap() -> None:
    found = history(
        ("evaluation", 9, {"split": "train", "warm": {"loss": "inf"}, "cold": {"loss": 1}, "gap": None})
    )
    assert [(name, value) for name, value, _ in figures.evaluation(found)] == [
        ("warm", math.inf),
        ("cold", 1.0),
    ]


TEXT = {"unit": "nats per token", "chars_per_token": 1.0}
RECITED = {
    "novel": 0.0, "n": 8, "held_out": 0.5, "longest": 90, "at": 0, "mark": 24, "spans": [[0, 90]], "chars": 100,
    "compared": 1.0,
}  # fmt: skip


def memorised(start: dict[str, Any], train: float, validation: float | None, **sample: Any) -> str:
    events: list[tuple[str, int, dict[str, Any]]] = [("start", 0, start), ("train", 5, {"loss": train})]
    events += [("validation", 5, {"loss": validation})] if validation is not None else []
    events += [("sample", 5, sample)] if sample else []
    line = figures.memorised(history(*events))
    return text(line) if line else ""


def test_a_run_that_has_memorised_says_so() -> None:
    # 0.02 nats are 0.029 bits
    assert memorised(TEXT, 0.02, 3.0) == "memorised: 0.03 bits per character in training"
    assert memorised(TEXT, 0.02, None) == "memorised: 0.03 bits per character in training"
    assert memorised(TEXT, 1.0, 1.2, text="x" * 100, **RECITED) == ("memorised: 90 % of a sample copied")
    both = memorised(TEXT, 0.02, 3.0, text="x" * 100, **RECITED)
    assert both == "memorised: 0.03 bits per character in training, 90 % of a sample copied"
    line = figures.memorised(history(("start", 0, TEXT), ("train", 5, {"loss": 0.02})))
    assert line is not None
    assert line[0][1] == "warn"


def test_others_have_not_memorised() -> None:
    assert memorised(TEXT, 1.0, 1.2) == ""
    assert memorised(TEXT, 0.02, 0.03) == ""  # an easy text
    assert memorised({"unit": "squared error"}, 0.001, 0.5) == ""
    assert memorised(TEXT | {"chars_per_token": 5.0}, 2.0, 6.0) == ""  # 0.58 bits per character
    assert memorised(TEXT, 1.0, 1.2, text="x" * 100, **(RECITED | {"spans": [[0, 40]]})) == ""


def test_nan_is_red() -> None:
    found = history(("train", 10, {"loss": "nan", "grad_norm": "inf"}))
    spans = [span for line in figures.figures_flat(found, 78) for span in line]
    assert ("nan".rjust(8), "bad") in spans
    assert ("inf".rjust(8), "bad") in spans


def test_tall_figures_name_the_baselines() -> None:
    known = {"uniform": math.log(65), "trigram": 2.3, "unigram": "nan"}
    found = history(("start", 0, {"baselines": known}), ("train", 1, {"loss": 4.0}))
    lines = [text(line) for line in figures.figures_tall(found, 46)]
    assert any(line.split()[:2] == ["uniform", "4.174"] for line in lines)
    assert not any("unigram" in line for line in lines)


def test_a_huge_loss_does_not_overflow() -> None:
    found = history(("train", 1, {"loss": 1e30}))
    assert figures.figures_flat(found, 78)


def test_states_in_ascii() -> None:
    for state in ("running", "starting", "paused", "finished", "stopped", "stalled", "crashed", "diverged"):
        assert figures.state_span(state, ascii=True)[0].isascii()
