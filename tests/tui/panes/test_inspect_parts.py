"""What the Inspect pane is made of, without a terminal: texts, colours, maps, gates, units, sources."""

import json
import random
from pathlib import Path

import pytest
from rich.cells import cell_len

from rnn_tui.errors import InputError, UsageError
from rnn_tui.tui.engine_client import EngineError, Event
from rnn_tui.tui.panes.inspect_answers import (
    Found,
    Gate,
    LayerReach,
    Part,
    PatternUnits,
    Reach,
    Survey,
    Trace,
    Values,
    taken,
)
from rnn_tui.tui.panes.inspect_gates import gate_lines, scatter
from rnn_tui.tui.panes.inspect_search import Row, survey_rows
from rnn_tui.tui.panes.inspect_source import BUILT_IN, FILE_LIMIT, default_source, file_source, name_of
from rnn_tui.tui.panes.inspect_units import (
    Unit,
    has_unit,
    next_part,
    next_unit,
    read_stars,
    unit_named,
    with_star,
)
from rnn_tui.tui.panes.inspect_views import (
    Window,
    axis_texts,
    reach_sentence,
    reach_series,
    token_words,
    trace_words,
)
from rnn_tui.tui.widgets.glow_text import SIGNS, UNKNOWN, GlowText, level
from rnn_tui.tui.widgets.heat_data import Heat


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-1.0, -4), (-0.9, -4), (-0.87, -3), (-0.26, -1), (-0.12, 0), (0.0, 0), (0.12, 0), (0.13, 1), (0.62, 2),
        (0.63, 3), (0.88, 4), (1.0, 4), (7.0, 4), (-7.0, -4), (None, UNKNOWN), (float("nan"), UNKNOWN),
    ],
)  # fmt: skip
def test_levels_are_quarters(value: float | None, expected: int) -> None:
    assert level(value) == expected
    assert len(SIGNS[expected]) == 1


def test_a_text_is_laid_out_token_by_token() -> None:
    # "ab c" + newline, then "日本" of two cells each, then nothing, then "x"
    text = GlowText(["ab", " ", "c", "\n", "日本", "", "x"])
    assert text.text == "ab c↵日本x"
    assert text.starts == [0, 2, 3, 4, 5, 7, 7, 8]
    text.resize(10)
    assert [text.text[a:b] for a, b in text.rows] == ["ab c↵", "日本x"]
    assert text.pieces(1) == [(4, 5, 7), (6, 7, 8)]  # the token without characters has no place
    assert [text.row_of(token) for token in range(7)] == [0, 0, 0, 0, 1, 1, 1]
    assert text.column_of(6) == 4
    assert [text.token_in(1, column) for column in (0, 3, 4, 99)] == [4, 4, 6, 6]
    # the tokens 2 and 6 change: cell 3 of the first row, cell 4 of the second
    before, after = [0] * 7, [0, 0, 1, 0, 0, 0, 2]
    assert text.changed(0, before, after) == [(3, 4)]
    assert text.changed(1, before, after) == [(4, 5)]
    assert text.changed(1, after, after) == []
    assert GlowText(["\n", "\n"], ascii=True).text == "$$"


def test_rows_hold_every_character_once_and_fit() -> None:
    draw = random.Random(4)
    alphabet = ["a", "bc ", " ", "\n", "日", "e\u0301", "\x1b[2J", "\t", "long-word ", "", "\u202e", "👍"]
    for _ in range(60):
        tokens = draw.choices(alphabet, k=draw.randrange(0, 60))
        text = GlowText(tokens)
        assert not set(text.text) & set("\x1b\t\n\u202e")
        width = draw.randrange(4, 30)
        text.resize(width)
        assert "".join(text.text[a:b] for a, b in text.rows) == text.text
        assert all(cell_len(text.text[a:b]) <= width for a, b in text.rows)
        shown = [token for row in range(len(text.rows)) for token, _, _ in text.pieces(row)]
        assert sorted(set(shown)) == [i for i in range(len(tokens)) if text.starts[i] < text.starts[i + 1]]
        ends = sum(token.count("\n") for token in tokens)
        assert sum(text.text[a:b].endswith("↵") for a, b in text.rows) == text.text.count("↵") == ends
        for token in set(shown):
            row = text.row_of(token)
            assert text.token_in(row, text.column_of(token)) == token


def test_a_map_knows_its_rows_and_columns() -> None:
    heat = Heat.of([[0.0, -1.0, None], [0.3, 0.55, 2.0]], [[4, 5], [9]], [10, 14, 18], 20)
    assert heat.levels.tolist() == [[0, -4, UNKNOWN], [1, 2, 4]]
    assert [heat.row_of(unit) for unit in (4, 5, 9, 1)] == [0, 0, 1, None]
    assert [heat.column_of(token) for token in (0, 10, 13, 14, 19, 99)] == [0, 0, 0, 1, 2, 2]
    assert Heat.of([], [], [], 0).column_of(3) == 0


def test_a_window_keeps_to_the_text() -> None:
    assert Window.around(50, 0, 20, 100) == Window(40, 60, 20, 0, 100)
    assert Window.around(3, 0, 20, 100) == Window(0, 20, 20, 0, 100)
    assert Window.around(99, 1, 20, 100) == Window(60, 100, 20, 1, 100)
    assert Window.around(99, 9, 20, 100).whole
    assert Window.around(99, 32, 20, 100).whole
    assert not Window.around(3, 0, 20, 100).whole
    assert Window(40, 60, 20, 0, 100).holds(59)
    assert not Window(40, 60, 20, 0, 100).holds(60)
    assert axis_texts(["a", "\n", "\tx"], [0, 1, 2], ascii=False) == ["a", "↵", " x"]


PARTS = (Part("layer 1 h", 1, 3), Part("layer 1 c", 1, 3), Part("layer 2 h", 2, 2))


def test_units_one_after_the_other() -> None:
    assert next_unit(PARTS, Unit("layer 1 h", 1), 1) == Unit("layer 1 h", 2)
    assert next_unit(PARTS, Unit("layer 1 h", 2), 1) == Unit("layer 1 c", 0)
    assert next_unit(PARTS, Unit("layer 1 h", 0), -1) == Unit("layer 2 h", 1)
    assert next_part(PARTS, Unit("layer 1 c", 2), 1) == Unit("layer 2 h", 1)
    assert next_part(PARTS, Unit("layer 1 h", 2), -1) == Unit("layer 2 h", 1)
    assert has_unit(PARTS, Unit("layer 2 h", 1))
    assert not has_unit(PARTS, Unit("layer 2 h", 2))


def test_units_by_name() -> None:
    assert unit_named(" 2 ", PARTS, "layer 1 c") == Unit("layer 1 c", 2)
    assert unit_named("layer 2 h:1", PARTS, "layer 1 c") == Unit("layer 2 h", 1)
    assert unit_named("2 h: 0", PARTS, "layer 1 c") == Unit("layer 2 h", 0)
    for wrong, says in (
        ("3", "0 to 2"),
        ("x", "0 to 2"),
        ("", "0 to 2"),
        ("-1", "0 to 2"),
        ("2 h:2", "0 to 1"),
    ):
        with pytest.raises(UsageError, match=says):
            unit_named(wrong, PARTS, "layer 1 h")
    with pytest.raises(UsageError, match="layer 1 h, layer 1 c, layer 2 h"):
        unit_named("layer 3:0", PARTS, "layer 1 h")


def test_stars_of_each_run_are_kept() -> None:
    first, second = Unit("layer 1 h", 1), Unit("layer 1 c", 2)
    kept = with_star(with_star({"other": [["x", 0]]}, "run", first), "run", second)
    assert read_stars(kept, "run") == [first, second]
    assert read_stars(json.loads(json.dumps(with_star(kept, "run", first))), "run") == [second]
    assert read_stars(kept, "other") == [Unit("x", 0)]
    for broken in (None, [], {"run": 3}, {"run": [1, ["a"], ["a", "b"], [1, 2]]}):
        assert read_stars(broken, "run") == []
        assert read_stars(with_star(broken, "run", first), "run") == [first]
    many: object = {}
    for number in range(60):
        many = with_star(many, f"run {number}", first)
    assert isinstance(many, dict)
    assert len(many) <= 51
    assert "run 0" not in many
    assert "run 59" in many


def test_the_survey_begins_with_the_best() -> None:
    found = [
        PatternUnits(p, (Found("h", u, s), Found("h", 9, 0.0))) for p, u, s in (("a", 1, 0.2), ("b", 2, -0.9))
    ]
    assert survey_rows(Survey((*found, PatternUnits("c", ())))) == [
        Row(Unit("h", 2), "b", -0.9), Row(Unit("h", 1), "a", 0.2)
    ]  # fmt: skip


def test_dots_of_gates_lie_where_they_should() -> None:
    # one unit always shut, one always open, one neither
    assert scatter([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], 2, 1, ascii=False) == ["⡁⢀"]
    assert scatter([1.0, 0.0, 0.0, None], [0.0, 1.0, 0.0, 0.0], 2, 2, ascii=True) == [". ", ".."]
    assert scatter([0.0] * 3, [0.0] * 3, 2, 1, ascii=True) == ["+ "]
    gates = [Gate(f"gate {n}", n, (0.0, 1.0), (1.0, 0.0), 0.5, None) for n in range(4)]
    for width, height, beside in ((78, 18, 3), (158, 44, 4), (20, 10, 1)):
        lines = gate_lines(gates, width, height, ascii=False)
        texts = ["".join(text for text, _ in line) for line in lines]
        titles = next(text for text in texts if "gate 0" in text)
        assert titles.count("gate") == beside
        assert all(cell_len(text) <= max(width, 26) for text in texts[2:])
        assert any("open     - " in text and "%" not in text for text in texts)
        assert any(text.startswith("shut  50 % █") for text in texts)


def test_reach_in_words_and_curves() -> None:
    reach = Reach(
        (1.0, 0.25, None), (LayerReach(1, (1.0, 0.5, 0.1)), LayerReach(2, (1.0, 0.1, 0.1))), 7, 1, None
    )
    assert reach_sentence(reach) == (
        "The gradient is below a half after 1 and not below a hundredth within 2 tokens; a mean over 7 positions."
    )
    series = reach_series(reach)
    assert [one.name for one in series] == ["the whole state", "layer 1", "layer 2"]
    assert list(series[1].y) == [1.0, 0.5, 0.1]
    assert list(series[0].y)[:2] == [1.0, 0.25]
    assert series[0].y[2] != series[0].y[2]
    assert reach_sentence(Reach((), (), note="a line of one token")) == "a line of one token"
    assert len(reach_series(Reach((1.0,), (LayerReach(1, (1.0,)),)))) == 1


def test_one_token_in_words() -> None:
    trace = Trace(("a", " ", "\x1b"), (None, 2.0, 0.5), PARTS, ("ž",), 5)
    values = Values("layer 1 c", 0, (0.5, None, -1.0), 3.0)
    assert token_words(trace, 0, values) == "1 of 3   'a'   value +1.500"
    assert token_words(trace, 1, values) == "2 of 3   '␣'   value not a number   surprise 2.00 nats"
    assert token_words(trace, 2, None) == "3 of 3   '␛'   surprise 0.50 nats"
    assert trace_words(trace, "file.txt") == "file.txt · the first 3 of 8 tokens · 1 unknown"


def test_wrong_answers_are_refused() -> None:
    line = b'{"event":"values","id":1,"part":"h","unit":2,"values":[1,null],"new":0}'
    assert taken(Event("values", line=line), Values) == Values("h", 2, (1.0, None))
    for wrong in (b"", b"[]", b'{"part":1}', b"\xff"):
        with pytest.raises(EngineError, match="wrong answer"):
            taken(Event("values", line=wrong), Values)


def test_files_are_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfab\r\n\xe6\x97\xa5\xff")
    assert file_source(f" {path} ").text == "ab\n日\ufffd"
    path.write_bytes(b"x" * (FILE_LIMIT - 1) + "日".encode())  # the limit cuts the last character in two
    cut = file_source(str(path))
    assert cut.text == "x" * (FILE_LIMIT - 1)
    assert cut.name == "the first 400 kB of a.txt"
    (tmp_path / "empty").write_bytes(b"")
    for name, says in (
        ("empty", "is empty"),
        ("none", "No such file"),
        (".", "not a file"),
        ("a\0b", "null"),
    ):
        with pytest.raises(InputError, match=says):
            file_source(str(tmp_path / name))


def test_the_text_of_a_run_is_held_out_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(
        "".join(f"line {n:04}\n" for n in range(1000))
    )  # 10,000 characters; the last tenth is held out
    model = tmp_path / "runs" / "first" / "model.safetensors"
    model.parent.mkdir(parents=True)
    assert default_source(model).text == BUILT_IN
    assert name_of(model) == str(model)
    config = model.parent / "config.toml"
    config.write_text(f'[corpus]\nsource = "{corpus}"\nvalidation = 0.1\n')
    assert name_of(model) == name_of(model.parent / "checkpoints" / "step-1" / "model.safetensors") == "first"
    source = default_source(model)
    assert source.name == "held-out text of corpus"
    assert source.text == "".join(f"line {n:04}\n" for n in range(900, 1000))
    config.write_text(f'[corpus]\nsource = "{corpus}"\nvalidation = 0.0\n')
    assert default_source(model).text == "".join(f"line {n:04}\n" for n in range(400))
    for broken in ('[corpus]\nsource = "/nowhere.txt"\n', "[corpus]\nsource = 3\n", "[[["):
        config.write_text(broken)
        assert default_source(model).text == BUILT_IN
    pairs = "".join(f"{'ab' * (n % 40 + 1)}\tXY\n" for n in range(400))
    corpus.write_text(pairs)
    config.write_text(f'[corpus]\nsource = "{corpus}"\nvalidation = 0.5\n[task]\nname = "aligned"\n')
    assert default_source(model).text == "ab" * 40
