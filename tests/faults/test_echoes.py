"""Hostile names, files and values in every command: what it echoes drives no terminal."""

import os
import random

import hostile_world
import pytest
from fault_terminal import Terminal, given_back
from hostile_world import Words, identity, make_world
from payloads import ARGUMENTS, PAYLOADS, misprinted

TEXTS = list(PAYLOADS.values())
ODD = (None, "mark", "", 5, -1, 1e308, 10**30, [], [1, "a", None], {}, {"a": [1]}, True, "nan", "-inf")


def arguments(words, folder, runs, corpus):
    """Yield what is typed: every command that ends by itself, with hostile names, files, options and values."""
    for name in (*runs, words.name()):
        yield from (["runs", "show", name], ["watch", name], ["stop", name], ["pause", name])
        yield from (["runs", "rm", name], ["set", name, "lr=1"], ["checkpoint", name], ["eval", name])
        yield from (
            ["runs", "tag", name],
            ["runs", "note", name],
            ["runs", "restore", name],
            ["runs", "rename", name, name],
            ["runs", "export", name, name],
            ["runs", "rm", name, "--yes"],
        )
        yield from (["inspect", name], ["inspect", "plain-1", "--file", name])
    yield from (["runs", "trash"], ["runs", "trash", "--json"], ["config", "keys"])
    yield from (["runs", "list"], ["runs", "list", "--json"], ["runs", "show", "plain-1", "--json"])
    yield from (
        ["runs", "compare", *runs[:3]],
        ["runs", "compare", "plain-1", "series-1"],
        ["runs", "show", "plain-1"],
    )
    yield from (["plugins", "list"], ["plugins", "list", "--json"], ["stats", str(corpus), "--no-estimate"])
    yield ["stats", str(corpus), "--no-estimate", "--tokenizer", "word", "--json"]
    config = folder / f"{words.name()}.toml"
    config.write_text(f"[{'x' * 9}]\n")
    yield ["config", "show", "--config", str(config)]
    for text in words.texts:
        text = text[:5000].replace("\0", "").encode("utf-8", "replace").decode()
        yield from ([text], ["--" + text], ["runs", text], ["runs", "show", text], ["plugins", "show", text])
        yield from (
            ["recipes", "show", text],
            ["corpus", "get", text],
            ["stats", text, "--no-estimate"],
            ["prompt", text, "x"],
        )
        yield from (
            ["config", "show", "--set", f"{text}=1"],
            ["config", "show", "--set", f"model.arch={text}"],
        )
        yield from (
            ["config", "show", "--lr", text],
            ["config", "show", "--recipe", text],
            ["config", "show", "--arch", text],
        )
        yield from (["train", text], ["train", "--name", text, "--steps", "1", "nothing.txt"])
        yield from (
            ["eval", "plain-1", text],
            ["eval", "plain-1", "--split", text],
            ["watch", "--runs-dir", text, "x"],
        )
        yield from (["completion", text], ["set", "plain-1", text], ["doctor", text])
        yield from (
            ["runs", "tag", "plain-1", text],
            ["runs", "note", "plain-1", text],
            ["runs", "list", "--filter", text],
            ["runs", "list", "--filter", f"loss<{text}"],
            ["runs", "list", "--sort", text],
            ["runs", "list", "--tag", text],
            ["runs", "restore", text],
            ["runs", "rename", "plain-1", text],
            ["runs", "export", "plain-1", text],
        )
        yield from (
            ["inspect", text],
            ["inspect", "plain-1", "x", "--pattern", text],
            ["inspect", "plain-1", "x", "--unit", text],
        )
    for text in ARGUMENTS:
        yield from (
            ["runs", "list", "--filter", text],
            ["runs", "tag", "plain-1", text],
            ["runs", "export", "plain-1", text],
            ["inspect", text, "x"],
            ["inspect", "plain-1", "x", "--unit", text],
            ["prompt", text, "x"],
            ["stats", text, "--no-estimate"],
        )


def echo(folder, texts, capfd, monkeypatch, count, seed):
    """Run commands in a hostile world; return what was found, and how many ran."""
    from rnn_tui.cli.root import run

    words, _, corpus = make_world(folder, texts, 0)
    for name in ("STATE", "CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"RNN_TUI_{name}_DIR", str(folder / name.lower()))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        "rnn_tui.plugin.describe.describe_plugins", lambda **_: hostile_world.descriptions(words)
    )
    lines = list(arguments(words, folder, sorted(os.listdir(folder / "runs")), corpus))
    chosen = random.Random(seed).sample(lines, min(count, len(lines)))
    always = [
        line for line in lines if line[:2] in (["runs", "list"], ["runs", "compare"], ["plugins", "list"])
    ]
    always += [line for line in lines if line[0] == "stats" and line[-1] == "--no-estimate"] + [
        ["runs", "show", "plain-1"]
    ]
    found = []
    for line in [*always, *chosen]:
        code = run(line)
        out, err = capfd.readouterr()
        told = f"{' '.join(line)[:60]!r} ({code})"
        found += [f"{told}: {what}" for what in misprinted((out + err).encode("utf-8", "surrogateescape"))]
        found += [f"{told}: a traceback" for text in (out, err) if "Traceback (most" in text]
        if "--json" in line:
            found += [f"{told}: JSON that is not ASCII"] if not out.isascii() else []
        if code not in range(9):
            found.append(f"{told}: exit code {code}")
    return found, len(always) + len(chosen)


def test_every_echo(tmp_path, capfd, monkeypatch, amount, seed, figures):
    found, count = echo(tmp_path, TEXTS, capfd, monkeypatch, amount(60, 10**6), seed)
    figures("terminal", f"{count} commands with hostile names, files and values: {len(found)} findings")
    assert found == []


@pytest.mark.slow
def test_every_echo_needs_safe_text(tmp_path, capfd, monkeypatch, figures):
    identity(monkeypatch)
    texts = [PAYLOADS[name] for name in ("clear", "clipboard ST", "C1", "bidi")]
    found, count = echo(tmp_path, texts, capfd, monkeypatch, 25, 1)
    where = {what.split(":")[0] for what in found}
    figures("terminal", f"safe_text left out: found in {len(where)} of {count} commands")
    assert len(where) > 10


def test_a_model_that_writes_hostile_text(tmp_path, amount, figures):
    """Trained on it and followed by a bar, prompted by line and at once, evaluated: in a pseudo-terminal."""
    characters = sorted(
        c for c in set("".join(text[:200] for text in TEXTS)) if c != "\n" and not "\ud800" <= c <= "\udfff"
    )
    mixed = random.Random(1).choices(["\x1b]52;c;bWFyaw==\x07", "\x1b[2J", "\x9b", *characters], k=4000)
    corpus = tmp_path / "\x1b]0;mark\x07.txt"
    corpus.write_text("".join(mixed), "utf-8", newline="")
    small = [
        "--hidden-size",
        "8",
        "--batch-size",
        "4",
        "--seq-len",
        "16",
        "--threads",
        "1",
        "--steps",
        "40",
        "--validation",
        "0.1",
    ]
    seen = 0
    lines = (
        [
            "train",
            corpus.name,
            "--name",
            "h",
            *small,
            "--set",
            "watch.validate_every=10",
            "--set",
            "watch.sample_length=120",
        ],
        ["prompt", "h", "\x1b[2J\x9b mark", "--length", "300", "--temperature", "2"],
        ["prompt", "h"],
        ["eval", "h", corpus.name],
        ["runs", "show", "h"],
    )
    found = []
    for words in lines[: amount(3, None)]:  # the last two are among the commands above, too
        terminal = Terminal(tmp_path, ["-m", "rnn_tui", *words], RNN_TUI_PLUGINS="rnn-tui")
        try:
            if words == ["prompt", "h"]:
                terminal.wait_for("/help tells more")
                terminal.send("mark\x16\x1b\n")
                terminal.wait_for("> ", since=len(terminal.raw))
                terminal.send("/quit\n")
            code = terminal.end(120)
        finally:
            terminal.close()
        seen += len(terminal.raw)
        raw = terminal.raw.replace(b"\x1b[?2004h", b"").replace(b"\x1b[?2004l", b"")  # readline's
        found += [f"{words[0]}: {what}" for what in misprinted(raw)]
        found += [f"{words[0]}: exit code {code}\n{terminal.text()}"] if code else []
        found += [f"{words[0]}: {what}" for what in given_back(terminal.raw)]
    assert "␛".encode() in terminal.raw or seen > 10_000
    figures(
        "terminal",
        f"a model of hostile text trained, prompted, evaluated in a pseudo-terminal: {len(found)} findings",
    )
    assert found == []


def test_events_of_any_shape(amount, seed, figures):
    """Each field of each kind of event holds what it never holds: the app and the command line make do."""
    from rnn_tui.cli import following
    from rnn_tui.runs.events import Event
    from rnn_tui.runs.status import RunView
    from rnn_tui.tui import curves, headline, looks_view, notes_view
    from rnn_tui.tui import figures as shown
    from rnn_tui.tui.history import History

    words, count, found = Words(["mark"]), 0, []
    view = RunView("running", None, True)
    for series in (False, True):
        good = [Event(1, 1, 0.0, *entry) for entry in hostile_world.events(words, series=series)]
        for place, event in enumerate(good):
            for field in (*event.data, "args", "minutes", "line_every", "exit_code", "steps"):
                for value in random.Random(f"{seed} {place} {field}").sample(ODD, amount(3, len(ODD))):
                    odd = Event(1, 1, 0.0, event.kind, event.step, event.data | {field: value})
                    story = [*good[:place], odd]
                    count += 1
                    try:
                        history, told = History(), following.Figures()
                        history.add(story)
                        headline.head("a", view, history, 80)
                        headline.progress(history, 80)
                        curves.loss_drawing(history, "time")
                        shown.figures_tall(history, 40)
                        shown.figures_flat(history, 80)
                        notes_view.notes(history, 9, final=True)
                        history.memorised()
                        looks_view.content(history.samples, width=80, roomy=True)
                        looks_view.content(history.samples, width=80, roomy=False)
                        if history.forecast is not None:
                            looks_view.forecast_table(history.forecast)
                            looks_view.forecast_series(history.forecast)
                        for one in story:
                            told.take(one)
                            following.narration(one)
                        told.line()
                    except Exception as error:
                        found.append(f"{event.kind}.{field} = {value!r}: {type(error).__name__}: {error}")
    figures(
        "terminal", f"{count} events with a field of another shape: {len(found)} stop the app or a command"
    )
    assert found == []
