"""Rows of tokens and of tables, and the pictures as data: worked out by hand."""

import numpy as np
import pytest
from textual.app import App, ComposeResult

from rnn_tui.corpus.vocabulary import Vocabulary
from rnn_tui.tui.panes.corpus_pictures import coverage_curve, rank_curve
from rnn_tui.tui.panes.corpus_text import place
from rnn_tui.tui.theme import chart_variables
from rnn_tui.tui.widgets.bars import bar, bars, table, visible
from rnn_tui.tui.widgets.lines import Line
from rnn_tui.tui.widgets.row_table import RowTable
from rnn_tui.tui.widgets.token_lines import wrap


def pieces(*texts, unknown=()):
    return [(text, number, 1, number in unknown) for number, text in enumerate(texts)]


def written(rows):
    return ["".join(text for text, _, _ in row.spans) for row in rows]


def test_rows_end_with_lines_and_between_words():
    plain = wrap(pieces(*"one two three\nfour"), 8, "plain")
    assert written(plain) == ["one two ", "three", "four"]
    assert [row.token for row in plain] == [0, 8, 14]
    assert written(wrap(pieces("one", " two", " three", "\n", "four"), 8, "plain")) == [
        "one two",
        "three",
        "four",
    ]
    assert written(wrap(pieces(*"a\n\nb"), 8, "plain")) == ["a", "", "b"]
    assert written(wrap(pieces(*"a\n\nb"), 8, "shades")) == ["a␊", "␊", "b"]
    assert written(wrap(pieces(*"a\n\nb"), 8, "shades", ascii=True)) == ["a\\n", "\\n", "b"]
    assert written(wrap(pieces("a", "bc", "d"), 8, "bars")) == ["a│bc│d│"]
    assert written(wrap(pieces("a", "b"), 8, "bars", ascii=True)) == ["a|b|"]


def test_what_is_longer_than_a_row_is_broken():
    assert written(wrap(pieces(*"x" * 10), 4, "plain")) == ["xxxx", "xxxx", "xx"]
    assert written(wrap(pieces("x" * 10), 4, "plain")) == ["xxxx", "xxxx", "xx"]
    assert written(wrap(pieces(*"天地玄黄"), 5, "plain")) == ["天地", "玄黄"]
    assert written(wrap(pieces("天地玄黄"), 5, "plain")) == ["天地", "玄黄"]
    assert written(wrap(pieces("\x1b[2J\tz"), 20, "plain")) == ["␛[2J    z"]


def test_each_token_is_told_from_the_next():
    row = wrap([("a", 0, 1, False), ("b", 1, 1, False), ("天", 2, 3, False), ("?", 5, 1, True)], 9, "shades")[
        0
    ]
    assert row.spans == [("a", "even", 0), ("b", "odd", 1), ("天", "many", 2), ("?", "unknown", 5)]
    assert row.line(range(1, 3)) == (("a", "even"), ("b天", "hit"), ("?", "unknown"))
    plain = wrap(pieces("a", "b", "c", unknown={1}), 9, "plain")[0]
    assert plain.line(range(0)) == (("a", "plain"), ("b", "unknown"), ("c", "plain"))


@pytest.mark.parametrize(
    ("text", "token"),
    [("50%", 500), ("12.5 %", 125), ("0", 0), ("1,000", 999), ("100%", 999), ("999", 999), ("1001", None),
     ("-1", None), ("101%", None), ("nan%", None), ("x", None), ("5.5", None)],
)  # fmt: skip
def test_places(text, token):
    assert place(text, 1000) == token


async def test_a_table_makes_only_the_rows_in_view(until):
    made = []

    def row(index: int, width: int) -> Line:
        made.append(index)
        return ((f"row {index}", "strong"), ("#", "bar"))

    class Host(App[None]):
        def compose(self) -> ComposeResult:
            yield RowTable("nothing here")

        def get_theme_variable_defaults(self) -> dict[str, str]:
            return chart_variables(dark=True, ansi=False)

    async with Host().run_test(size=(40, 11)) as pilot:
        table = pilot.app.query_one(RowTable)
        await pilot.pause()
        assert table.render_line(1).text.strip() == "nothing here"
        table.show(400_000, row, (("heading", "muted"),))
        table.focus()
        await pilot.press("end")
        await pilot.pause()
        assert table.cursor == 399_999
        rows = ["heading", "row 399990#", "row 399999#"]
        await until(pilot, lambda: [table.render_line(y).text.strip() for y in (0, 1, 10)] == rows)
        await pilot.press("pageup", "up", "k")
        assert table.cursor == 399_999 - 9 - 2
        await pilot.press("home", "down", "j", "pagedown")
        assert table.cursor == 11
        assert set(made) <= {*range(30), *range(399_970, 400_000)}


def test_zipf_ends_where_the_counts_do():
    curve = rank_curve("ranks", [(1, 100), (10, 50), (100, 5)])
    law, counts = curve.series
    assert (law.x, law.y) == ((1.0, 20.0), (100.0, 5.0))  # 100 / 20 = 5, the last count
    assert (counts.x, counts.y) == ((1, 10, 100), (100, 50, 5))
    assert (curve.log_x, curve.log_y) == (True, True)
    # by least squares over log 1, log 10, log 100 only the ends count: (log 5 - log 100) / log 100
    assert curve.note == "slope -0.65"


def test_coverage_is_marked():
    class Letters:
        def token_text(self, token):
            return chr(97 + token)

    curve = coverage_curve(Vocabulary(Letters(), np.array([60, 35, 4, 1])))
    assert curve.baselines == (("1 tokens cover", 50.0), ("2 tokens cover", 90.0), ("3 tokens cover", 99.0))
    assert list(curve.series[0].x) == [1, 2, 3, 4]
    assert list(curve.series[0].y) == pytest.approx([60, 95, 99, 100])


def test_bars():
    assert bar(0.5, 4) == "██  "
    assert bar(0.0, 4) == "    "
    assert bar(1.5, 4) == "████"
    assert bar(0.28125, 4) == "█▏  "  # 9 eighths
    assert bar(0.0001, 4) == "▏   "
    assert bar(float("nan"), 2) == "  "
    assert bar(0.5, 4, ascii=True) == "##  "
    assert visible(" ") == "␣"
    assert visible("\n") == "␊"
    assert visible("") == "∅"
    assert bars([("天", 1.0, "9"), ("a", 0.5, "10")], 12).plain == "天 ██████  9\n a ███    10"
    assert table([("a", "1"), ("bb", "22")]).plain == "a    1\nbb  22"
