from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnn_tui.runs.events import Event
from rnn_tui.runs.listing import RunSummary
from rnn_tui.tui.history import History
from rnn_tui.tui.panes.runs_figures import Entry, differences, figures, side_by_side, wrapped
from rnn_tui.tui.panes.runs_rows import COLUMNS, Rows, cells, fitting, heading
from rnn_tui.tui.panes.runs_side import Known, panel, two_rows


def history(unit: str, *losses: float, **start: Any) -> History:
    """Validation losses at step 10, 20 …; each step reads 50 tokens and takes 0.2 s."""
    found = History()
    found.add([Event(1, 1, 0.0, "start", 0, {"unit": unit, **start})])
    for number, loss in enumerate(losses, 1):
        found.add([Event(2, 1, 0.0, "validation", 10 * number, {"loss": loss})])
    found.add([Event(3, 1, 0.0, "train", 40, {"loss": 1.0, "tokens": 2000, "elapsed": 8.0, "epoch": 1.0})])
    return found


COLOURS = {"good": "green", "warn": "yellow", "bad": "red", "accent": "cyan"} | {
    f"chart-{n}": "blue" for n in range(1, 9)
}


def run(name: str = "a", **changes: Any) -> RunSummary:
    plain = RunSummary(
        name=name, path=Path("/r") / name, state="finished", message="", task="next-token", arch="lstm",
        tokenizer="char", corpus="/texts/deep/book.txt", parameters=356_000, step=1200, total_steps=2000, epoch=1.0,
        train_loss=1.4, validation_loss=1.5, best_loss=1.25, tokens_per_second=0.0, eta=None, created=100.0,
        updated=1000.0, size_bytes=2_500_000,
    )  # fmt: skip
    return replace(plain, **changes)


def text(line: Any) -> str:
    return "".join(part for part, _ in line)


def test_columns_give_way_from_the_right() -> None:
    assert fitting(400) == list(COLUMNS)
    narrow = fitting(77)
    assert [column.key for column in narrow] == ["name", "state", "step", "loss", "updated"]
    assert sum(column.width + 2 for column in narrow) == 77
    assert "tag" not in [column.key for column in fitting(400, empty=frozenset({"tag"}))]


def test_the_column_of_the_order_has_an_arrow() -> None:
    loss = next(column for column in COLUMNS if column.key == "loss")
    assert [heading(loss, order).plain for order in ("loss", "-loss", "step")] == [
        "best loss ▲",
        "best loss ▼",
        "best loss",
    ]
    assert heading(COLUMNS[2], "step", ascii=True).plain == "step v"
    assert all(len(heading(column, column.key).plain) <= column.width for column in COLUMNS)


def test_a_row_is_safe_and_fits() -> None:
    hostile = run(
        "x" * 64, corpus="\x1b[2J" * 9, arch="[/]\x9b", tags=("a", "b"), note="n" * 90, state="\x1bodd"
    )
    row = cells(hostile, 1000.0, 1, COLOURS)
    assert row["name"].plain == "2 " + "x" * 21 + "…"
    assert row["arch"].plain == "[/]\ufffd"
    assert row["tag"].plain == "a b"
    assert row["updated"].plain == "now"
    assert (row["step"].plain, row["loss"].plain, row["parameters"].plain) == ("1,200/2k", "1.250", "356k")
    for column in COLUMNS:
        assert len(row[column.key].plain) <= column.width, column.key
        assert "\x1b" not in row[column.key].plain
    assert cells(run(best_loss=float("nan")), 0.0, None, COLOURS)["loss"].style == "red"


def test_rows_that_say_the_same_are_the_same() -> None:
    rows, runs = Rows(), [run("a", created=3.0), run("b", created=2.0, arch="gru"), run("c", created=1.0)]
    assert [found.name for found in rows.arrange(runs, COLOURS, 1000.0)] == ["a", "b", "c"]
    before = dict(rows.rows)
    runs[1] = replace(runs[1], best_loss=1.0)
    rows.arrange(runs, COLOURS, 1001.0)
    assert [rows.rows[name] is before[name] for name in "abc"] == [True, False, True]
    same = [key for key, cell in rows.rows["b"].items() if cell is not before["b"][key]]
    assert same == ["loss"]
    rows.marked["a"] = 0
    rows.arrange(runs, COLOURS, 1001.0)
    assert rows.rows["a"]["name"].plain == "1 a"
    rows.forget()
    rows.arrange(runs, COLOURS | {"good": "#00ff00"}, 1001.0)
    assert rows.rows["a"]["state"].style == "#00ff00"
    assert rows.empty == {"tag", "note"}


def test_the_line_above_the_table() -> None:
    rows, runs = Rows(), [run("a"), run("b", arch="gru", tags=("x",))]
    rows.arrange(runs, COLOURS, 1.0)
    assert text(rows.told(2, 2, "", typing=False)) == "2 runs"
    rows.wanted, rows.marked = "arch:gru", {"b": 0}
    rows.sort("-loss")
    rows.sort(["odd"])
    rows.sort("nothing")
    assert [found.name for found in rows.arrange(runs, COLOURS, 1.0)] == ["b"]
    told = text(rows.told(1, 2, "3 in the trash, 1 MB", typing=False))
    assert told == "1 of 2 runs like arch:gru, by loss turned round   1 marked   3 in the trash, 1 MB"
    rows.wanted = "arc:gru"
    assert len(rows.arrange(runs, COLOURS, 1.0)) == 2
    assert text(rows.told(2, 2, "", typing=True)) == "there is no 'arc' to filter by; did you mean 'arch'?"


def test_differences_only() -> None:
    rows = differences(
        [
            {"model": {"arch": "lstm", "hidden_size": 256, "tie": True}, "about": {"created": 1}},
            {
                "model": {"arch": "gru\x1b", "hidden_size": 256},
                "about": {"created": 2},
                "data": {"steps": [1, 2]},
            },
        ]
    )
    assert rows == [
        Entry("data.steps", ("-", "1, 2")),
        Entry("model.arch", ("lstm", "gru␛")),
        Entry("model.tie", ("true", "-")),
    ]


def test_figures_and_which_is_best() -> None:
    first = history("nats per token", 2.0, 1.5, chars_per_token=1.0, bytes_per_token=2.0)
    second = history("nats per token", 3.0, 2.5, chars_per_token=4.0, bytes_per_token=4.0)
    found = {entry.label: entry for entry in figures([run("a"), run("b", state="stopped")], [first, second])}
    assert found["best loss"] == Entry("best loss", ("1.500", "2.500"), 0)
    assert found["at step"].values == ("20", "20")
    # 1.5 / ln 2 = 2.164 bits for a character, half of it for a byte; 2.5 / ln 2 / 4 = 0.902
    assert found["bpc"] == Entry("bpc", ("2.164", "0.902"), 1)
    assert found["bpb"] == Entry("bpb", ("1.082", "0.902"), 1)
    assert found["perplexity"].values == ("4.482", "12.182")  # e^1.5, e^2.5
    # 40 steps of 50 tokens in 8 s
    assert found["tokens/s"].values == ("250", "250")
    assert found["time"].values == ("0:08", "0:08")
    assert "loss in" not in found
    other = history("squared error", 0.5, 0.4)
    found = {entry.label: entry for entry in figures([run("a"), run("b")], [first, other])}
    assert found["loss in"].values == ("nats per token", "squared error")
    assert found["best loss"].best is None
    assert found["bpc"].values == ("2.164", "-")


def test_values_stand_in_columns_or_where_they_are_long_below_each_other() -> None:
    long = "/a/very/long/path/of/a/text/that/nobody/would/type.txt"
    rows = [Entry("arch", ("lstm", "gru", "gru"), 0), Entry("source", ("b.txt", long, "b.txt"))]
    lines = [text(line) for line in side_by_side([("settings", rows)], [0, 4, 2], 44)]
    assert lines == [
        "settings            1          5          3",
        "arch             lstm        gru        gru",
        "source",
        "  1 3  b.txt",
        "  5    /a/very/long/path/of/a/text/that/",
        "       nobody/would/type.txt",
    ]
    assert all(len(line) <= 44 for line in lines)


@pytest.mark.parametrize(
    ("text", "rows"),
    [("", []), ("abc", ["abc"]), ("abcdefghij", ["abcdefgh", "ij"]), ("aaa bbb ccc", ["aaa bbb", "ccc"]),
     ("狐狸與葡萄", ["狐狸與葡", "萄"]), ("a/b/c/d/e/f", ["a/b/c/d/", "e/f"])],
)  # fmt: skip
def test_wrapping_counts_cells(text: str, rows: list[str]) -> None:
    assert wrapped(text, 8) == rows


def test_the_panel_says_what_the_table_has_no_room_for() -> None:
    known = Known(
        history("nats per token", 2.0, 1.5, chars_per_token=1.0),
        {"model": {"arch": "lstm"}, "corpus": {"source": "x"}},
    )
    shown = "\n".join(
        text(line)
        for line in panel(run("a", tags=("keep",), note="the one", message="it\x1bdied"), known, 40)
    )
    for part in ("✓ finished", "it␛died", "keep", "the one", "validation loss", "█", "2.000 to 1.500", "at step 20",
                 "bpc          2.164", "architecture lstm", "356k", "/r/a"):  # fmt: skip
        assert part in shown, part
    tail = "\n".join(text(line) for line in panel(run(), replace(known, whole=False), 40))
    assert "validation loss, newest part, nats per token" in tail
    assert text(two_rows(run(tags=("k",), note="n"), 80)[0]) == "k  n"
    assert (
        text(two_rows(run(state="crashed", message="why " * 40, note="n"), 20)[0]) == "why why why why why…"
    )
