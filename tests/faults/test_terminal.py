"""Hostile texts on every screen and in every echo: nothing of them drives the terminal, the app or the clipboard."""

import os
import shutil
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import hostile_world
import pytest
from fault_terminal import Terminal, given_back
from hostile_world import identity, make_world
from payloads import PAYLOADS, as_name, misprinted, misshown
from textual import events
from textual.widgets import Collapsible, DataTable, TabbedContent

from rnn_tui import safetext
from rnn_tui.runs.lock import RunLock
from rnn_tui.tui import crash
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.clipboard import sequence
from rnn_tui.tui.dialogs import Ask, Confirm
from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.panes.train_form import TrainForm

TEXTS = list(PAYLOADS.values())


# -- the function itself ----------------------------------------------------------------------------------------------


def test_what_may_reach_a_terminal(amount):
    """Every code point, between letters and in a run; twice is once."""
    for first in range(0, 0x110000, 0x1000):
        if 0x40000 <= first < 0xE0000 and first % amount(0x10000, 1):
            continue  # of a plane without characters a block is enough
        block = [chr(code) for code in range(first, first + 0x1000)]
        text = "a".join(block)
        for newlines in (False, True)[: 1 + (first < 0x10000)]:
            shown = safetext.safe_text(text, newlines=newlines, limit=None)
            assert misshown(shown, newlines) == []
            assert safetext.safe_text(shown, newlines=newlines, limit=None) == shown
        # nothing that has a shape of its own is lost
        shown = safetext.safe_text(text, limit=None)
        lost = [
            c
            for c, one in zip(text, shown, strict=True)
            if c != one and unicodedata.category(c)[0] in "LNPSM"
        ]
        assert lost == []
        marks = [
            c * 20 for c in block if unicodedata.category(c)[0] in "MC" or c in "\u115f\u1160\u3164\uffa0"
        ]
        if unicodedata.category(block[0]) not in ("Cn", "Co"):
            assert misshown(safetext.safe_text("a".join(marks), limit=None)) == []


def test_clean_text_passes_quickly(figures):
    """At a tenth of what was measured on a quiet machine at the least."""
    speeds = []
    for text in (
        "The quick brown fox jumps. " * 40_000,
        "深圳人民公园里有很多人。" * 90_000,
        "naïve café déjà vu " * 50_000,
    ):
        safetext.safe_text(text, limit=None)
        begin = time.perf_counter()
        safetext.safe_text(text, limit=None)
        speeds.append(len(text) / (time.perf_counter() - begin) / 1e6)
    figures(
        "terminal",
        f"safe_text: {', '.join(f'{speed:.0f}' for speed in speeds)} M characters/s (ASCII, Chinese, French)",
    )
    assert min(speeds) > 10


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_pieces_of_a_stream_are_as_safe_as_the_whole(size):
    text = "\n".join(one[:2000] for one in TEXTS)
    stream = safetext.SafeStream()
    shown = "".join(stream.clean(text[at : at + size]) for at in range(0, len(text), size))
    assert misshown(shown, newlines=True) == []
    if size == 1000:
        assert len(shown) >= len(safetext.safe_text(text, newlines=True, limit=None)) - 10


# -- every screen, without a terminal ---------------------------------------------------------------------------------


class Looker:
    """Reads the screen of an app and notes what may not be on it."""

    def __init__(self, app, pilot):
        self.app, self.pilot = app, pilot
        self.found, self.looks = [], 0

    async def look(self, where):
        await self.pilot.pause(0.05)
        self.looks += 1
        if not self.app.is_running or self.app._exit:
            self.found.append(f"{where}: the app has left")
            raise EOFError
        for strip in self.app.screen._compositor.render_strips(self.app.screen.size):
            self.found += [f"{where}: {what} in {strip.text.strip()[:60]!r}" for what in misshown(strip.text)]
            for segment in strip:
                meta = segment.style.meta if segment.style is not None else {}
                if any("quit" in str(value) or "bell" in str(value) for value in meta.values()):
                    self.found.append(f"{where}: an action of a payload on {segment.text!r}")

    async def until(self, condition, seconds=20.0):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            await self.pilot.pause(0.03)
        if not condition():
            self.found.append("waited in vain")


async def paste(app, pilot, text):
    await app.on_event(events.Paste(text))
    await pilot.pause()


async def walk(folder, texts, shift, monkeypatch, visits, few=True):
    """Go through panes and dialogs of a hostile world; return what was found, and how many screens were looked at."""
    words, plain, corpus = make_world(folder, texts, shift, few)
    monkeypatch.setattr(
        "rnn_tui.plugin.describe.describe_plugins", lambda **_: hostile_world.descriptions(words)
    )
    command = hostile_world.engine_command(texts)
    made = EngineClient.__init__
    monkeypatch.setattr(EngineClient, "__init__", lambda self: made(self, command))
    monkeypatch.setattr("rnn_tui.tui.panes.corpus.try_model", lambda *_: words())
    for name in ("STATE", "CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"RNN_TUI_{name}_DIR", str(folder / name.lower()))
    monkeypatch.chdir(folder)
    lock = RunLock.acquire(plain)
    app = RnnTuiApp(folder / "runs")
    found = []
    try:
        async with app.run_test(size=(110, 36), notifications=True) as pilot:
            looker = Looker(app, pilot)
            found = looker.found
            await looker.until(lambda: app.ready and app.descriptions is not None)
            for visit in visits:
                await visit(app, pilot, looker, words, corpus, folder)
            for text in texts:
                panel = crash.panel(ValueError(text), Path(as_name(text)))
                with app.console.capture() as captured:
                    app.console.print(panel)
                found += [f"crash panel: {what}" for what in misprinted(captured.get().encode())]
    except EOFError:
        pass
    except Exception as error:
        found.append(f"{type(error).__name__}: {str(error)[:100]!r}")
    finally:
        lock.release()
    return found, looker.looks


async def watch(app, pilot, looker, words, corpus, folder):
    """The monitor, at three sizes, of a text and of a series; other runs by names that are none."""
    app.open_run("plain-1")
    await looker.until(lambda: app.pane("train").monitor.history.events > 10)
    await looker.look("monitor")
    for width, height in ((80, 24), (150, 50), (110, 36))[:: 2 if words.few else 1]:
        await pilot.resize_terminal(width, height)
        app.pane("train").monitor.draw()
        await looker.look(f"monitor {width}x{height}")
    app.open_run("series-1")
    await looker.until(lambda: app.pane("train").monitor.history.forecast is not None)
    app.pane("train").monitor.draw()
    await looker.look("forecast")
    for name in os.listdir(folder / "runs")[: 2 if words.few else None]:
        app.open_run(name)
    await looker.look("other runs")


async def converse(app, pilot, looker, words, corpus, folder):
    """Toasts, dialogs, help and palette."""
    for _ in words.some(2):
        for text in words.some(3):
            app.tell(text)
            app.fail(ValueError(text))
        await looker.look("toasts")
        app.clear_notifications()
    for text in words.some(2):
        app.push_screen(Confirm(text, words()))
        await looker.look("question")
        app.pop_screen()
        app.push_screen(Ask(text, words(), lambda value: value + words()))
        await pilot.pause()
        await paste(app, pilot, words())
        await looker.look("value")
        await pilot.press("enter")
        await looker.look("wrong value")
        app.pop_screen()
    await pilot.press("f1")
    await looker.look("help")
    await pilot.press("escape")
    app.action_command_palette()
    await pilot.pause()
    for text in words.some(2):
        await paste(app, pilot, text)
        await looker.look("palette")
    await pilot.press("escape")


async def compare(app, pilot, looker, words, corpus, folder):
    """The table of runs at three widths, marked ones side by side, the question before one is deleted."""
    app.show_pane("runs")
    pane = app.pane("runs")
    await looker.until(lambda: len(pane._shown) > 3)
    for width in (80, 110):
        await pilot.resize_terminal(width, 36)
        await looker.look(f"runs {width}")
    for _ in range(2):
        await pilot.press("m", "j")
        await looker.look("comparison")
    await pilot.press("d")
    await looker.look("deletion")
    await pilot.press("escape")
    await pilot.press("r")
    await looker.look("resumption")


async def read_plugins(app, pilot, looker, words, corpus, folder):
    app.show_pane("plugins")
    for _ in range(2 if words.few else 4):
        app.pane("plugins").query_one(DataTable).focus()
        await pilot.press("down")
        await looker.look("plugins")
        await pilot.press("t")
        await looker.look("plugin taken")
        app.show_pane("plugins")


async def measure(app, pilot, looker, words, corpus, folder):
    """The corpus pane: a hostile text under a hostile name, each of its views, its inputs."""
    app.show_pane("corpus")
    pane = app.pane("corpus")
    with pane.prevent():
        pane.query_one("#corpus-tokenizer").set_options([("char", "char"), ("word", "word")])
    await looker.look("corpus")
    source = folder / "corpus.txt"
    shutil.copy(corpus, source)
    (folder / as_name(words())).mkdir(exist_ok=True)
    pane.look(str(source))
    await looker.until(lambda: pane.reading is not None)
    for key in ("overview", "findings", "pictures", "vocabulary", "text", "tokenizers"):
        pane.query_one(TabbedContent).active = key
        await looker.look(f"corpus, {key}")
    view = pane.query_one("#corpus-text")
    for _ in words.some(3):
        view.action_page(1)
        await looker.look("text")
    for text in words.some(3):
        pane.look(text)
        await looker.look("no corpus")
        pane.query_one("#corpus-source").focus()
        await paste(app, pilot, text)
        await looker.look("corpus, pasted")


async def fill_in(app, pilot, looker, words, corpus, folder):
    """The form with hostile settings, all of them unfolded; a start that is refused."""
    settings = {
        "corpus": {"source": words()}, "tokenizer": {"name": words(), "options": {"x": words()}},
        "model": {"arch": words(), "hidden_size": words()}, "optim": {"lr": words()}, "task": {"name": words()},
        "watch": {"sample_prompts": [words(), words()]},
    }  # fmt: skip
    app.new_run(settings)
    await looker.until(lambda: bool(app.query(TrainForm)))
    await looker.look("form")
    form = app.query_one(TrainForm)
    form.query_one(Collapsible).collapsed = False
    await looker.look("form, unfolded")
    for field in form.fields()[:: 90 if words.few else 20]:
        field.focus_editor()
        await paste(app, pilot, words())
        field.scroll_visible(animate=False)
        await looker.look("form, pasted")
    for text in words.some(3):
        form._refused(text)
        form.say(text)
        await looker.look("form, refused")
    await pilot.press("ctrl+s")
    await looker.look("form, started")
    await pilot.press("escape", "escape")


async def prompt(app, pilot, looker, words, corpus, folder):
    """A model under a hostile name, an engine that writes hostile texts, a prompt of them."""
    model = folder / f"{as_name(words())}.safetensors"
    model.write_bytes(b"x")
    app.show_pane("prompt")
    pane = app.pane("prompt")
    column = pane.column
    column.choose(model)
    column.load_model()
    await looker.until(lambda: column.session.current)
    await looker.look("prompt")
    for text in [*words.some(2), ""]:
        pane.line.input.value = ""
        pane.line.input.focus()
        await paste(app, pilot, text)
        await looker.look("prompt, pasted")
        await pilot.press("enter")
        await looker.until(lambda: not pane.feed.writing)
        column.tail.flush()
        await looker.look("completion")
    for key in ("f3", "f2", "f7", "escape", "pageup"):
        await pilot.press(key)
        await looker.look("transcript")
    column.models.open()
    await looker.look("models")
    for what in ("/stop ", "/temp ", "/save ", "/branch ", "/"):
        pane._try(lambda what=what: pane._command(what + words()))
        await looker.look("command")


VISITS = (watch, converse, compare, read_plugins, measure, fill_in, prompt)


async def test_every_screen(tmp_path, monkeypatch, amount, figures):
    """In one world each text is somewhere; in eight, each on every screen, each time in another place."""
    worlds, looks, found = amount(1, 8), 0, []
    for shift in range(worlds):
        with monkeypatch.context() as patch:
            folder = tmp_path / str(shift)
            folder.mkdir()
            more, seen = await walk(folder, TEXTS, 5 * shift, patch, VISITS, few=worlds == 1)
        found += [f"world {shift}: {what}" for what in more]
        looks += seen
    figures("terminal", f"{len(TEXTS)} texts in {worlds} worlds, {looks} screens: {len(found)} findings")
    assert found == []


async def test_every_screen_needs_safe_text(tmp_path, monkeypatch, figures):
    identity(monkeypatch)
    texts = [PAYLOADS[name] for name in ("clear", "clipboard ST", "C1", "bidi", "C0", "tabs")]
    found, _ = await walk(tmp_path, texts, 0, monkeypatch, (watch,))
    where = {what.split(":")[0] for what in found}
    figures("terminal", f"safe_text left out: found on {len(where)} screens")
    assert len(where) >= 4, where


# -- every screen, in a terminal --------------------------------------------------------------------------------------


def paint(folder, shift, *, broken=False):
    """Go through the panes of a hostile world by keys, in a pseudo-terminal; return what was found in its bytes.

    Of an app that guards nothing the first panes are enough.
    """
    words, plain, corpus = make_world(folder, TEXTS, shift)
    shutil.copy(corpus, folder / "mark")
    lock = RunLock.acquire(plain)
    program = hostile_world.app_program(broken=broken)
    terminal = Terminal(folder, ["-c", program, str(folder / "runs"), str(shift)], size=(40, 130))
    try:
        terminal.wait_for("Corpus", "mark")
        terminal.settle(0.5)
        pastes = ["\x1b[200~" + words.plain()[:900] + "\x1b[201~" for _ in range(2)]
        keys = ["\x1b2", "\x1b5", "mjmjm", "x", "\x1b", "\x1b6", "j", "j", "j", "\x1b1", "/mark\r"]
        keys += ["v", "l", "x", "\x1b[6~", "\x1b3", "mark \r", pastes[0], "\x1bOR"]
        keys += ["\x1b2", "n", pastes[1], "\x13", "\x1b", "\x1b"]
        for key in keys[: 2 if broken else None]:
            terminal.send(key)
            terminal.settle(0.2, 3)
        found = misprinted(terminal.raw)
        found += [] if terminal.alive else ["the app has left"]
        size = len(terminal.raw)
        terminal.send("\x11")
        code = terminal.end()
        found += given_back(terminal.raw) + ([] if code == 0 else [f"exit code {code}"])
    finally:
        lock.release()
        terminal.close()
    return found, size


@pytest.mark.slow
def test_every_pane_in_a_terminal(tmp_path, amount, figures):
    found, size, worlds = [], 0, amount(1, 4)
    for shift in range(worlds):
        folder = tmp_path / str(shift)
        folder.mkdir()
        more, seen = paint(folder, shift * 5)
        found, size = found + more, size + seen
    figures(
        "terminal",
        f"{worlds} worlds in a pseudo-terminal, {size / 1e6:.1f} MB to it: {len(found)} bytes or modes of a text",
    )
    assert found == []


def test_a_terminal_would_see_it_without_safe_text(tmp_path, figures):
    found, _ = paint(tmp_path, 7, broken=True)
    figures("terminal", f"safe_text left out in a pseudo-terminal: {len(found)} found")
    assert found


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
def test_no_text_reaches_the_clipboard_of_tmux(tmp_path, figures):
    """With `set-clipboard on`, which lets a program write it. That it would is shown first."""
    socket = str(tmp_path / "tmux")

    def tmux(*words, check=True):
        done = subprocess.run(["tmux", "-S", socket, *words], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0 or not check, done.stderr
        return done

    make_world(tmp_path, [text for name, text in PAYLOADS.items() if "clipboard" in name], 0)
    program = tmp_path / "app.py"
    program.write_text(hostile_world.app_program())
    environment = {f"RNN_TUI_{n}_DIR": str(tmp_path / n) for n in ("STATE", "CACHE", "CONFIG", "DATA")}
    command = f"exec {sys.executable} {program} {tmp_path / 'runs'} 0"
    try:
        tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "sh")
        tmux("set-option", "-g", "set-clipboard", "on")
        tmux("set-option", "-g", "allow-passthrough", "on", check=False)
        probe = tmp_path / "probe"
        probe.write_text(PAYLOADS["clipboard ST"])
        tmux("send-keys", f"cat {probe}", "Enter")
        wait_until(lambda: tmux("show-buffer", check=False).stdout == "mark")
        tmux("delete-buffer")
        tmux(
            "new-window", "-n", "app", *(f"-e{name}={value}" for name, value in environment.items()), command
        )
        wait_until(lambda: "Corpus" in tmux("capture-pane", "-p", "-t", "app").stdout, 30)
        for key in ("M-2", "M-5", "m", "j", "m", "M-6", "j", "M-3", "mark", "Enter", "M-2"):
            tmux("send-keys", "-t", "app", key)
            time.sleep(0.4)

        def form():
            tmux("send-keys", "-t", "app", "n")
            time.sleep(0.3)
            return "ctrl+s" in tmux("capture-pane", "-p", "-t", "app").stdout

        wait_until(form)  # it lives
        assert tmux("show-buffer", check=False).returncode == 1, "a text is in the clipboard"
    finally:
        tmux("kill-server", check=False)
    figures("terminal", "tmux with set-clipboard on: its buffer stays empty")


def wait_until(condition, seconds=15.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_what_a_user_copies_is_what_is_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("RNN_TUI_STATE_DIR", str(tmp_path))
    assert sequence("mark", tmux=False) == "\x1b]52;c;bWFyaw==\x07"
    assert sequence("mark", tmux=True) == "\x1b]52;c;bWFyaw==\x07\x1bPtmux;\x1b\x1b]52;c;bWFyaw==\x07\x1b\\"
    assert sequence("x" * 56_246, tmux=False) is None  # 74,996 bytes in base64
    assert sequence("x" * 56_243, tmux=False) is not None
    app = RnnTuiApp(tmp_path / "runs")
    told = []
    monkeypatch.setattr(app, "tell", told.append)
    app.copy_to_clipboard("深圳 mark")
    kept = tmp_path / "copied.txt"
    assert kept.read_text() == "深圳 mark"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert str(kept) in told[0]
