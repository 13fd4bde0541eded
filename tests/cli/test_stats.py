"""`rnn-tui stats` for each task, and the plots that it draws."""

import io
import math
import sys

import pytest

from rnn_tui.cli.plots import bar, bars, curve


def test_stats(cli, tmp_path):
    (tmp_path / "ab.txt").write_text("abab\n" * 400)
    settings = ["--validation", "0.25", "--batch-size", "5", "--seq-len", "10"]
    told = cli("stats", "ab.txt", *settings, "--no-estimate", "--json").json
    assert (told["task"], told["estimate"]) == ("next-token", None)
    assert (told["chars"], told["lines"], told["words"]) == (2000, 400, 400)
    assert [(part["name"], part["chars"]) for part in told["splits"]] == [
        ("train", 1500),
        ("validation", 500),
    ]
    assert {top["text"]: top["count"] for top in told["top_tokens"]} == {"a": 600, "b": 600, "\n": 300}
    assert told["duplicate_lines"] == pytest.approx(399 / 400)
    assert told["passages"]["share"] == 1995 / 2000  # all but the first line: 60 from there on began 5 before
    assert told["passages"]["known"] == {"validation": 1}


def test_stats_to_be_read(cli, tmp_path):
    (tmp_path / "ab.txt").write_text("abab\n" * 400)
    shown = cli("stats", "ab.txt", "--no-estimate").out
    assert "2,000 characters" in shown
    assert "99.8% of the text, in 1 passages of 60 bytes or more" in shown
    assert "trigram" in shown
    assert "rank" in shown
    assert "\n4-7  400  " + "█" * 40 + "\n" in shown  # lines
    assert "\n4  400  " + "█" * 40 + "\n" in shown  # words
    assert "100% of the validation text lies in passages" in shown
    assert "needed to cover the training text: 50% 2, 90% 3, 99% 3" in shown  # a and b are two fifths each
    assert "\n  --normalise drop-repeated-lines\n" in shown
    assert max(map(len, shown.split("\nrepeated passage")[0].splitlines()[8:])) <= 80


def test_stats_say_how_to_mend_what_was_found(cli, tmp_path):
    (tmp_path / "crlf.txt").write_bytes(b"".join(b"line %d\r\n" % number for number in range(200)))
    told = cli("stats", "crlf.txt", "--no-estimate", "--json").json
    # 1,890 characters, of which 1,701 train: 1,700 // 64 = 26
    assert {one["setting"]: one["value"] for one in told["remedies"]} == {
        "corpus.normalise": ["unix-newlines"],
        "data.batch_size": 26,
        "corpus.validation": 0.2,
    }
    mended = cli("stats", "crlf.txt", "--no-estimate", "--normalise", "unix-newlines").out
    assert "ok: 200 lines end in CRLF: seen to by the step unix-newlines" in mended


def test_stats_compare_tokenizers(cli, tmp_path):
    (tmp_path / "text.txt").write_text("the sky – \n" * 300)  # 11 characters of 13 bytes
    found = {one["name"]: one for one in cli("stats", "text.txt", "--compare", "--json").json}
    assert found["byte"]["chars_per_token"] == pytest.approx(11 / 13)
    assert (found["char"]["chars_per_token"], found["char"]["unknown"]) == (1, 0)
    shown = cli("stats", "text.txt", "--compare").out
    assert shown.split("\n")[1].split() == ["byte", "256", "0.85", "0.0%"]


def test_stats_name_the_task_that_a_corpus_looks_like(cli, tmp_path):
    (tmp_path / "s.csv").write_text("a,b\n" + "1,2\n" * 300)
    assert "looks like a corpus for --task series" in cli("stats", "s.csv", "--no-estimate").err


def test_stats_of_standard_input(shell):
    done = shell("stats", "-", "--json", "--no-estimate", stdin="one two three\n" * 100)
    assert done.json["chars"] == 1400


def test_stats_where_only_ascii_can_be_written(shell, tmp_path):
    (tmp_path / "ab.txt").write_text("abab\n" * 400)
    shown = shell("stats", "ab.txt", "--no-estimate", PYTHONIOENCODING="ascii", PYTHONUTF8="0").out
    assert shown.isascii()
    assert "\n4  400  " + "#" * 40 + "\n" in shown
    assert "\\u" not in shown


def test_stats_with_an_estimate(cli, tmp_path):
    (tmp_path / "ab.txt").write_text("abab\n" * 400)
    # 2,000 characters train on 1,799: 35 steps of 5 windows of 10
    model = [
        "--arch",
        "nn-rnn",
        "--hidden-size",
        "8",
        "--batch-size",
        "5",
        "--seq-len",
        "10",
        "--threads",
        "1",
    ]
    told = cli("stats", "ab.txt", *model, "--epochs", "2", "--json").json["estimate"]
    assert told["parameters"] == 4 * 8 + 8 * 8 + 16 + 8 * 4 + 4
    assert (told["steps_per_epoch"], told["steps"]) == (35, 70)
    assert told["seconds_per_epoch"] == pytest.approx(35 * told["seconds_per_step"])
    assert told["tokens_per_second"] == pytest.approx(50 / told["seconds_per_step"])
    done = cli("stats", "ab.txt", "--arch", "nn-rnm")
    assert done.code == 2
    assert "did you mean 'nn-rnn'" in done.refusal


def test_stats_of_a_series(cli, tmp_path):
    (tmp_path / "s.csv").write_text("up,down\n" + "".join(f"{i},{-2 * i}\n" for i in range(100)))
    where = ["stats", "s.csv", "--task", "series", "--no-estimate", "--batch-size", "2", "--seq-len", "5"]
    told = cli(*where, "--json").json
    assert told["rows"] == 100
    assert [(one["name"], one["mean"], one["max"], one["persistence"]) for one in told["columns"]] == [
        ("up", 44.5, 89, 1),
        ("down", -89, 0, 2),
    ]
    assert told["steps_per_epoch"] == 8  # 89 // 2 // 5
    shown = cli(*where).out
    assert "train 90, validation 10" in shown
    assert "column down" in shown
    assert "lie outside the range" in shown
    assert max(map(len, shown.split("\nnote:")[0].splitlines())) <= 80


def test_stats_of_lines_with_labels(cli, tmp_path):
    (tmp_path / "p.tsv").write_text("ab\tba\nabc\tcba\n" * 10)
    told = cli("stats", "p.tsv", "--task", "aligned", "--no-estimate", "--batch-size", "4", "--json").json
    assert (told["lines"], told["tokens"], told["steps_per_epoch"]) == (20, 50, 5)  # 18 lines train
    shown = cli("stats", "p.tsv", "--task", "aligned", "--no-estimate").out
    assert "100% of the validation lines have the source of a training line" in shown


def test_bars(capsys):
    assert (bar(1.0, 4), bar(0.5, 4), bar(3 / 32, 4), bar(0, 4)) == ("████", "██", "▍", "")
    assert bar(0.001, 4) == "▏"
    bars("lengths", [("0", 2000), ("1-2", 0), ("3", 1000)])
    assert capsys.readouterr().out.splitlines() == [
        "lengths",
        "  0  2,000  " + "█" * 40,
        "1-2      0",
        "  3  1,000  " + "█" * 20,
    ]


def test_a_curve(capsys, monkeypatch):
    monkeypatch.setattr("rnn_tui.cli.plots._WIDTH", 7)
    monkeypatch.setattr("rnn_tui.cli.plots._HEIGHT", 3)
    curve("halved", [1, 10, 100, 1000], [1000, 1000, 10, 10], log=True)
    assert capsys.readouterr().out.splitlines() == [
        "halved",
        "1,000 │• •",
        "      │",
        "   10 │    • •",
        "      └───────",
        "       1 1,000",
    ]
    curve("flat", [1], [0.5], digits=2)
    assert capsys.readouterr().out.splitlines()[1:4] == ["0.50 │", "     │", "0.50 │•"]


def test_a_curve_in_ascii(monkeypatch):
    written = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", written)
    curve("sine", range(60), [math.sin(x / 10) for x in range(60)], digits=3)
    assert bar(0.5, 4) == "##"
    written.flush()
    lines = written.buffer.getvalue().decode().splitlines()
    assert sum(line.count("*") for line in lines) == 60
    assert lines[1].startswith(" 1.000 |")
    assert lines[-2].startswith("       +---")
