"""Texts and names from a stranger: used as they are, or refused with one sentence."""

import io
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import fault_corpora as odd
import pytest
from fault_corpora import outcome, refusal
from fault_models import patience, peak_memory

from rnn_tui.corpus import decoding, snapshot, sources
from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.corpus.prepare import prepare
from rnn_tui.corpus.statistics import statistics
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.runs.folder import create_run
from rnn_tui.training import config as settings
from rnn_tui.training import data
from rnn_tui.training.config import RunConfig, TokenizerConfig
from rnn_tui.training.launch import lasting_source

# -- texts --------------------------------------------------------------------------------------------------------


def read(path: Path, tokenizer: str):
    """Prepare a corpus as a tiny run would, count it, and return it with its whole text and what was counted."""
    plugin = {"char": "char", "byte": "byte"}[tokenizer]
    config = RunConfig(
        corpus=CorpusConfig(source=str(path)),
        tokenizer=TokenizerConfig(name=plugin),
        data=settings.DataConfig(batch_size=2, seq_len=8),
    )
    prepared = data.prepare_data(config)
    return prepared, "".join(prepared.snapshot.pieces()), statistics(prepared, batch_size=2, seq_len=8)


def wrong_texts(texts: list[odd.Text], folder: Path) -> list[str]:
    findings = []
    for text in texts:
        path = folder / "text.txt"
        path.write_bytes(text.data)
        for tokenizer in ("char", "byte"):
            result = outcome(read, path, tokenizer)
            if text.refused:
                wrong = refusal(result, 3, text.refused)
            elif not isinstance(result, tuple):
                wrong = f"is not read: {result}"
            else:
                wrong = _misread(text, *result)
            if wrong:
                findings.append(f"{text.name}, {tokenizer}: {wrong}")
    return findings


def _misread(text: odd.Text, prepared, whole: str, counted) -> str:
    report = prepared.snapshot.report
    counts = (
        report.chars,
        report.crlf,
        report.nul,
        report.controls,
        report.invalid_bytes,
        report.first_invalid_offset,
    )
    expected = text.read_as or text.data.decode()
    if whole != expected:
        return "the text is another"
    if text.counts and counts != text.counts:
        return f"counted {counts}"
    if text.noted not in " ".join(prepared.snapshot.notes) or bool(text.noted) != bool(
        prepared.snapshot.notes
    ):
        return f"notes {prepared.snapshot.notes}"
    tokenizer = prepared.tokenizer
    if (
        tokenizer.decode(tokenizer.encode(whole[:100])) != whole[:100]
        and prepared.split("train").unknown == 0
    ):
        return "its tokens are another text"
    return "" if counted.chars == len(whole) else f"statistics counted {counted.chars}"


def test_texts(tmp_path, figures):
    findings = wrong_texts(odd.TEXTS, tmp_path)
    assert not findings, "\n".join(findings)
    figures("corpora", f"{len(odd.TEXTS)} texts: each refused with its sentence, or unchanged and counted")


def binaries_taken(monkeypatch):
    monkeypatch.setattr(decoding, "_refuse_binary", lambda *_: None)


def marks_kept(monkeypatch):
    monkeypatch.setattr(decoding, "_is_utf8_bom", lambda *_: False)


def newlines_changed(monkeypatch):
    real = decoding.codecs.utf_8_decode

    class Codecs:
        BOM_UTF8 = decoding.codecs.BOM_UTF8
        getincrementaldecoder = staticmethod(decoding.codecs.getincrementaldecoder)

        @staticmethod
        def utf_8_decode(*arguments):
            text, used = real(*arguments)
            return text.replace("\r\n", "\n"), used

    monkeypatch.setattr(decoding, "codecs", Codecs)


def lengths_unchecked(monkeypatch):
    monkeypatch.setattr(data, "check_windows", lambda *_: None)
    monkeypatch.setattr(data, "_check_varied", lambda *_: None)


@pytest.mark.parametrize(
    ("broken", "names"),
    [
        (binaries_taken, {"PNG", "a program", "GBK", "2 % NUL", "UTF-16, no mark"}),
        (marks_kept, {"only a byte order mark", "a byte order mark", "UTF-16", "UTF-32"}),
        (newlines_changed, {"CRLF and CR"}),
        (lengths_unchecked, {"less than a window", "one symbol"}),
    ],
)
def test_texts_find_what_is_broken(tmp_path, monkeypatch, figures, broken, names):
    broken(monkeypatch)
    texts = [text for text in odd.TEXTS if text.name in names | {"markup", "one character"}]
    found = {finding.split(", char")[0].split(", byte")[0] for finding in wrong_texts(texts, tmp_path)}
    assert found == names
    figures("corpora", f"{broken.__name__.replace('_', ' ')}: {len(found)} texts tell")


def test_characters_that_training_has_not_seen(tmp_path):
    (tmp_path / "t.txt").write_text("ab" * 400 + "a\x1b你" * 30)
    prepared, _, counted = read(tmp_path / "t.txt", "char")
    held_out = prepared.split("validation")
    assert (held_out.tokens, held_out.unknown) == (
        89,
        60,
    )  # of 890 characters the last 89 begin with 'b', 'a', ...
    assert counted.held_out_only == ("\x1b", "你")
    assert any("2 characters occur only in held-out text" in finding.text for finding in counted.findings)


def test_one_line_of_any_length(tmp_path, amount, figures):
    size, path = amount(20, 200), tmp_path / "line.txt"
    with path.open("wb") as file:
        for _ in range(size):
            file.write(b"the quick brown fox " * 50_000)
    config = CorpusConfig(source=str(path))
    for name in ("char", "word", "byte"):
        plugin = load_plugin("tokenizer", name)
        options = plugin.Options() if plugin.Options else None
        before = peak_memory(reset=True)
        prepared = prepare(config, plugin, options)
        grown = peak_memory() - before
        assert grown < 40, f"{name}: {grown:.0f} MB for a line of {size} MB"
        assert prepared.snapshot.chars == size * 1_000_000
    figures("corpora", f"one line of {size} MB: prepared by three tokenizers in less than 40 MB")


# -- files and folders --------------------------------------------------------------------------------------------


def test_a_folder_of_loops_and_pipes(tmp_path, amount, figures):
    count = amount(1500, 100_000)
    odd.odd_folder(tmp_path / "texts", count)
    begin = time.process_time()
    with patience(300):
        taken = snapshot.snapshot(CorpusConfig(source=str(tmp_path / "texts")))
    seconds = time.process_time() - begin
    assert "".join(taken.pieces()) == "\n\n".join(map(str, range(count))) + "\n"
    assert taken.notes == (f"{count:,} files read, 1 hidden and 1 binary files left out",)
    figures("corpora", f"a folder of {count:,} files, loops, a pipe and devices among them: {seconds:.1f} s")


def wrong_sources(folder: Path) -> list[str]:
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "to pipe").symlink_to("pipe")
    cases = {
        folder / "pipe": "neither a file nor a folder",
        folder / "to pipe": "neither a file nor a folder",
        folder / "loop": "no such file",
        Path("/dev/zero"): "neither a file nor a folder",
        folder / "absent": "no such file",
    }
    found = [
        (path, refusal(outcome(snapshot.snapshot, CorpusConfig(source=str(path))), 3, phrase))
        for path, phrase in cases.items()
    ]
    return [f"{path.name} {wrong}" for path, wrong in found if wrong]


def test_what_is_no_text(tmp_path, monkeypatch, figures):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert not wrong_sources(tmp_path / "one")
    monkeypatch.setattr(sources, "check_source", lambda source: None)
    monkeypatch.setattr("fault_corpora.PATIENCE", 0.3)
    assert "pipe hangs" in [
        finding.replace("is not refused: ", "") for finding in wrong_sources(tmp_path / "two")
    ]
    figures("corpora", "pipes, devices and loops as a corpus: refused; opened without a look, a pipe hangs")


@pytest.mark.parametrize("change", [lambda path: path.write_text("b" * 99), lambda path: path.unlink()])
def test_a_text_that_changes_while_it_is_read(tmp_path, change):
    path = tmp_path / "t.txt"
    path.write_text("a" * (3 << 20))
    done = []

    def progress(what, read, total):
        if not done:
            done.append(change(path))

    result = outcome(lambda: snapshot.snapshot(CorpusConfig(source=str(path)), progress=progress))
    if path.exists():
        assert 1 << 20 <= result.chars < 3 << 20  # what could be read: a writer may also cut a file short
        assert "changed while it was read" in result.notes[-1]
    else:
        assert refusal(result, 3, "the text could not be read") == ""


def test_a_pipe_is_standard_input(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfpiped\r\n\x1b[0m")))
    taken = snapshot.snapshot(CorpusConfig(source="-"), keep_in=tmp_path)
    assert "".join(taken.pieces()) == "piped\r\n\x1b[0m"


@pytest.mark.parametrize("name", odd.FILE_NAMES)
def test_names_of_files(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(odd.PLAIN * 50 + b"\xff")
    taken = snapshot.snapshot(CorpusConfig(source=name))
    assert taken.report.first_invalid_offset == 2200
    source = outcome(lasting_source, name)
    if name.isprintable() or name.isascii() or "\udce9" not in name:
        run = create_run(tmp_path / "runs", None, {"model": {"arch": "lstm"}, "corpus": {"source": source}})
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", run.name)
        assert run.read_config()["corpus"]["source"] == str(tmp_path / name)
    else:
        assert refusal(source, 3, "the path is not UTF-8") == ""


def wrong_run_names(runs: Path) -> list[str]:
    found = [
        (name, refusal(outcome(create_run, runs, name, {}), 2, "cannot name a run")) for name in odd.NAMES
    ]
    return [f"{name!r} {wrong}" for name, wrong in found if wrong]


def test_names_of_runs(tmp_path, monkeypatch, figures):
    assert not wrong_run_names(tmp_path / "a" / "runs")
    assert not list(tmp_path.iterdir())
    for name in ("a", "n" * 64, "Run-1.b_c"):
        assert create_run(tmp_path / "runs", name, {}).path.parent == tmp_path / "runs"
    monkeypatch.setattr("rnn_tui.runs.folder.check_name", lambda name: name)
    assert len(wrong_run_names(tmp_path / "b" / "runs")) == len(odd.NAMES)
    figures(
        "corpora",
        f"{len(odd.NAMES)} names that no run may have: refused, nothing written; unchecked, all tell",
    )


# -- in a process of its own --------------------------------------------------------------------------------------


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "rnn_tui", *arguments],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
    )  # fmt: skip


def test_commands_say_one_line(tmp_path, figures):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe.toml").symlink_to("pipe")
    (tmp_path / "image").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(128, 256)) * 30)
    (tmp_path / "t.txt").write_bytes(odd.PLAIN * 200)
    large = ["--hidden-size", "65536", "--num-layers", "64", "--device", "cpu"]
    refused = [
        (["train", "image"], 3, "not UTF-8"),
        (["train", "t.txt", "--config", "pipe.toml"], 3, "not a regular file"),
        (["train", "t.txt", "--name", "../x"], 2, "cannot name a run"),
        (["train", "t.txt", *large], 7, "takes more than"),
    ]
    for arguments, code, phrase in refused:
        done = command(tmp_path, *arguments)
        text = done.stderr.decode()
        assert (done.returncode, done.stdout, text.count("\n")) == (code, b"", 1), text
        assert phrase in text
    assert not (tmp_path / "runs").exists()
    figures("corpora", f"{len(refused)} commands with them: one line each, exit codes 2, 3 and 7")


def test_all_of_it_trained_on(tmp_path, figures):
    """Escapes, controls, floods and markup, learned, counted and sampled: no byte of them reaches the terminal."""
    texts = [text.data for text in odd.TEXTS if not text.refused and text.name != "a long line"]
    name = "\x1b]52;c;aGk=\x07[@click=app.quit]"
    (tmp_path / name).write_bytes(b"\n".join(texts))
    small = [
        "--hidden-size",
        "8",
        "--batch-size",
        "4",
        "--seq-len",
        "16",
        "--threads",
        "1",
        "--engine",
        "loop",
    ]
    train = [
        "train",
        name,
        "--name",
        "odd",
        "--steps",
        "4",
        "--foreground",
        *small,
        "--sample-prompt",
        "\x1b[2J",
    ]
    for arguments in (
        train,
        ["stats", name, "--no-estimate", "--no-baselines"],
        ["prompt", "odd", "\x1b]0;x\x07"],
    ):
        done = command(tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
        shown = (done.stdout + done.stderr).decode()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    figures(
        "corpora",
        "escapes, controls, floods and markup as one corpus: trained, counted, sampled; none is raw",
    )
