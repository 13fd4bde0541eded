"""`inspect` on a run that was trained."""

import io
import math
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from rnn_tui.cli import inspect_text
from rnn_tui.inference.inspect_requests import PATTERNS
from rnn_tui.inference.patterns import mark
from rnn_tui.inference.reach import gradient_reach
from rnn_tui.inference.trace import read_trace, strands_of
from rnn_tui.inference.units import best_units
from rnn_tui.model import file, header
from rnn_tui.model.file import load_model
from rnn_tui.model.header import read_header

TEXT = "the quick brown fox\njumps over a lazy dog\n"


@pytest.fixture
def fox(trained, cli, monkeypatch):
    """The command line with a completed run `fox`; nothing is piped in unless `stdin` says so."""
    folder, _ = trained

    def call(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return cli("inspect", *arguments, "--runs-dir", str(folder / "runs"))

    call.model, call.tokenizer, _ = load_model(folder / "runs" / "fox" / "model.safetensors")
    call.corpus = (folder / "fox.txt").read_text()
    return call


@pytest.fixture
def trace(fox):
    return read_trace(fox.model, strands_of(fox.model), fox.tokenizer, TEXT)


def cells(out):
    """The lines of what was written, each divided into its columns."""
    return [re.split("  +", line.strip()) for line in out.splitlines()]


def test_the_best_unit_of_each_pattern_on_its_own_validation_text(fox):
    done = fox("fox")
    assert done.code == 0, done.err
    own = fox.corpus[-len(fox.corpus) // 10 :]
    rows = cells(done.out)
    assert rows[1][1].startswith(f"validation split of its corpus: {len(own):,} tokens")
    found = {row[0]: row for row in rows[4:]}
    assert list(found) == [
        "line-position",
        "line-left",
        "line-end",
        "whitespace",
        "word-start",
        "word-position",
    ]
    trace = read_trace(fox.model, strands_of(fox.model), fox.tokenizer, own)
    for name, row in found.items():
        [[best]] = best_units(trace.parts, [mark(trace.texts, name)], 1)
        assert row[2:4] == [f"{best.part}:{best.unit}", f"{best.score:+.3f}"]
        assert row[6:] == ([] if best.auc is None else [f"{best.auc:.3f}"])
    assert max(map(len, done.out.splitlines()[3:])) <= 80


def test_units_of_patterns_on_a_text(fox, trace):
    done = fox("fox", TEXT, "--pattern", "whitespace", "--pattern", "regex:[aeiou]", "--top", "3")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[3].startswith("whitespace: whitespace was just read; 21.4% of the tokens")
    assert lines[9].startswith("regex:[aeiou]: a match of the expression; 26.2% of the tokens")
    assert len(lines) == 14
    for first, name in [(5, "whitespace"), (11, "regex:[aeiou]")]:
        [found] = best_units(trace.parts, [mark(trace.texts, name)], 3)
        rows = [re.split("  +", line)[:6] for line in lines[first : first + 3]]
        assert rows == [
            [
                f"{one.part}:{one.unit}",
                *(f"{value:+.3f}" for value in (one.score, one.mean_in, one.mean_out)),
                *(f"{value:.3f}" for value in (one.auc, one.threshold)),
            ]
            for one in found
        ]
    nothing = fox("fox", TEXT, "--pattern", "digits")
    assert (
        nothing.out.splitlines()[-1]
        == "the text has this nowhere or everywhere, so that no unit can tell it apart"
    )


def test_the_text_comes_from_a_file_or_a_pipe(fox, tmp_path):
    path = tmp_path / "fox.txt"
    path.write_text(TEXT)
    for done in (
        fox("fox", "--file", str(path), "--json"),
        fox("fox", "--json", stdin=TEXT.encode() + b"\n"),
    ):
        assert (done.json["tokens"], done.json["text"]) == (len(TEXT), "the text given")
    # unknown symbols are told of
    assert "not in the vocabulary, read as unknown: 'ž'" in fox("fox", "the ž").err


def test_all_in_one_document(fox, trace):
    done = fox("fox", TEXT, "--pattern", "line-end", "--gates", "--reach", "--unit", "layer 1 h:3", "--json")
    found = done.json
    assert [(part["name"], part["units"]) for part in found["parts"]] == [
        ("layer 1 h", 16),
        ("layer 1 c", 16),
    ]
    [pattern] = found["patterns"]
    assert (pattern["pattern"], pattern["kind"], len(pattern["found"])) == ("line-end", "yes-no", 10)
    assert found["unit"]["values"] == pytest.approx(trace.parts[0].values[:, 3].tolist(), abs=1e-6)
    assert "".join(found["unit"]["texts"]) == TEXT
    assert [gate["name"] for gate in found["gates"]] == ["f", "i", "o"]
    reach = gradient_reach(fox.model, trace, 200)
    assert found["reach"]["whole"] == pytest.approx(reach.whole.tolist(), rel=1e-3)
    assert found["reach"]["half"] == reach.below(0.5)


def test_gates_and_reach_to_be_read(fox, trace):
    done = fox("fox", TEXT, "--gates", "--reach", "--distance", "12")
    rows = cells(done.out)
    gates = {row[0]: row for row in rows if row[0].startswith("layer 1 ")}
    assert list(gates) == ["layer 1 f", "layer 1 i", "layer 1 o"]
    assert gates["layer 1 f"][1] == "16"
    reach = gradient_reach(fox.model, trace, 12)
    told = {row[0]: row[1] for row in rows if row[0].isdecimal() and len(row) > 2}
    assert told == {str(k): f"{reach.whole[k]:.2g}" for k in (0, 1, 2, 3, 5, 10, 12)}
    assert f"below a half from distance {reach.below(0.5)}" in done.err
    low = math.log10(min(reach.whole))
    assert any(row[0].startswith(f"{low:.1f} ") for row in rows)
    assert "whitespace" not in done.out  # patterns only where nothing else is asked for


def test_a_unit_without_colour(fox, trace):
    done = fox("fox", TEXT, "--unit", "layer 1 h:3")
    lines = done.out.splitlines()
    values = trace.parts[0].values[:, 3]
    assert lines[3].startswith(f"layer 1 h:3, {values.min():.3f} to {values.max():.3f}, mean")
    assert lines[5] == "the quick brown fox↵"
    signs = "".join("=- +#"[sum(value >= edge for edge in (-0.6, -0.2, 0.2, 0.6))] for value in values)
    assert [lines[6], lines[8]] == [signs[:20].rstrip(), signs[20:].rstrip()]
    assert lines[7] == "jumps over a lazy dog↵"


def test_lines_are_divided_by_columns():
    pieces = [("日本", 0), ("a\n", 4), ("\x1b", 1), ("b", 2)]
    lines = list(inspect_text._lines(pieces, 4))
    assert ["".join(text for text, _ in line) for line in lines] == ["日本", "a↵", "␛b"]
    assert ["".join(sign for _, sign in line) for line in lines] == ["====", "##", "- "]


@pytest.mark.parametrize(
    ("term", "no_color", "first"),
    [
        ("xterm-256color", "", "\x1b[37;48;5;"),
        ("xterm", "", "\x1b[37;44m"),
        ("xterm", "1", "below each line"),
        ("dumb", "", "below each line"),
    ],
)
def test_a_unit_in_colour_where_there_is_one(term, no_color, first, monkeypatch, capsys, trace):
    from rnn_tui.inference.activations import UnitValues

    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    values = np.linspace(-1, 1, len(trace)).astype(np.float32)
    inspect_text._show_unit(trace, "layer 1 h", 3, UnitValues(values, 1.0, -1.0, 1.0, 0.0))
    out = capsys.readouterr().out
    assert first in out
    plain = re.sub("\x1b\\[[0-9;]*m", "", out)
    assert "\x1b" not in plain
    if first.startswith("\x1b"):
        assert "".join(plain.splitlines()[-2:]) == TEXT.replace("\n", "↵")
        assert out.count(first) > 1
    else:
        assert "\x1b[3" not in out


def test_a_long_text_is_cut(monkeypatch, fox):
    monkeypatch.setattr(inspect_text, "SHOWN", 10)
    done = fox("fox", TEXT, "--unit", "layer 1 c:0")
    assert "the quick \n" in done.out
    assert "32 more tokens are not shown" in done.err


def test_the_patterns_are_listed(fox):
    assert [row[0] for row in cells(fox("fox", "--pattern", "list").out)[1:]] == [*PATTERNS, "regex:…"]
    assert list(fox("fox", "--pattern", "list", "--json").json) == [*PATTERNS, "regex:…"]


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["fox", "a", "--pattern", "vowels"], 2, "there is no pattern 'vowels'"),
        (["fox", "a", "--unit", "layer 1 h"], 2, "'layer 1 h' is no unit"),
        (
            ["fox", "a", "--unit", "layer 2 h:0"],
            2,
            "the model has no part 'layer 2 h'; it has layer 1 h, layer 1 c",
        ),
        (["fox", "a", "--unit", "layer 1 h:16"], 2, "has the units 0 to 15, not 16"),
        (["fox", "a", "--file", "b"], 2, "give a TEXT or a --file, not both"),
        (["fox", "--file", "missing.txt"], 3, "missing.txt: No such file"),
        (["fox", "a", "--distance", "5"], 2, "--distance is for --reach"),
        (["fox", ""], 2, "no text to read"),
        (["fax"], 3, "did you mean 'fox'"),
    ],
)
def test_refusals(fox, arguments, code, why):
    done = fox(*arguments)
    assert done.code == code
    assert why in done.refusal


def test_models_that_have_no_text_of_their_own(fox, tmp_path, monkeypatch):
    told = {"series": "is a model of numbers, which reads no text", "aligned": "give a text for it to read"}
    for task, why in told.items():
        monkeypatch.setattr(
            header,
            "read_header",
            lambda path, task=task: replace(
                read_header(path), config={**read_header(path).config, "task": {"name": task}}
            ),
        )
        monkeypatch.setattr(
            file,
            "load_model",
            lambda path, device="cpu": (fox.model, fox.tokenizer, header.read_header(path)),
        )
        done = fox("fox")
        assert done.code == 2
        assert why in done.refusal
