"""Walks through the app in a hostile world: each visit goes to some screens, and what may not be on one is noted."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import hostile_world
from hostile_world import make_own_files, make_world
from payloads import ARGUMENTS, as_name, misprinted, misshown
from textual import events
from textual.widgets import Collapsible, DataTable, Input

from rnn_tui.preferences import read as read_preferences
from rnn_tui.runs.lock import RunLock
from rnn_tui.tui import crash
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.dialogs import Ask, Confirm
from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.panes.inspect_keys import ASKS
from rnn_tui.tui.panes.inspect_keys import VIEWS as INSPECTED
from rnn_tui.tui.panes.prompt_dispatch import HANDLERS
from rnn_tui.tui.panes.train_form import TrainForm


class Looker:
    """Reads the screen of an app and notes what may not be on it."""

    def __init__(self, app, pilot, few):
        self.app, self.pilot, self.few = app, pilot, few
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

    async def press(self, where, *keys):
        """Press keys, and look after each; where few looks are enough after the last."""
        if self.few:
            await self.pilot.press(*keys)
            keys = keys[-1:]
        for key in keys:
            if not self.few:
                await self.pilot.press(key)
            await self.look(f"{where}, {key}")

    async def paste(self, text):
        await self.app.on_event(events.Paste(text))
        await self.pilot.pause()

    async def answer(self, where, key, *texts):
        """Press a key that asks for something, and paste each of `texts` as the answer."""
        for text in texts:
            await self.pilot.press(key)
            await self.until(lambda: isinstance(self.app.focused, Input), f"for {where} to ask")
            if not isinstance(self.app.focused, Input):
                return
            self.app.focused.value = ""
            await self.paste(text)
            await self.look(f"{where}, asked")
            await self.press(where, "enter")
            await self.pilot.press("escape")

    async def until(self, condition, what="", seconds=60.0):
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            await self.pilot.pause(0.03)
        if not condition():
            self.found.append(f"waited in vain {what}")


async def go_to(app, looker, name):
    """Show a pane and return it when it is there."""
    app.show_pane(name)
    await looker.until(lambda: app.current_pane == name, name)
    return app.pane(name)


async def walk(folder, texts, shift, monkeypatch, visits, few=True):
    """Go through panes and dialogs of a hostile world; return what was found, and how many screens were looked at."""
    words, plain, corpus = make_world(folder, texts, shift, few)
    make_own_files(folder, words)
    monkeypatch.setattr(
        "rnn_tui.plugin.describe.describe_plugins", lambda **_: hostile_world.descriptions(words)
    )
    command = hostile_world.engine_command(texts)
    made = EngineClient.__init__
    monkeypatch.setattr(EngineClient, "__init__", lambda self: made(self, command))
    monkeypatch.setattr("rnn_tui.tui.panes.corpus.try_model", lambda *_: words())
    measured = {words.plain(): 1.5, words.plain(): {"loss": 2.0}, words.plain(): 7}
    program = [sys.executable, "-c", "import sys; print(sys.argv[1])", json.dumps(measured)]
    monkeypatch.setattr("rnn_tui.tui.panes.runs_dialogs.evaluation_command", lambda _: program)
    for name in ("STATE", "CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"RNN_TUI_{name}_DIR", str(folder / name.lower()))
    monkeypatch.chdir(folder)
    preferences, complaints, *_ = read_preferences()
    monkeypatch.setattr("rnn_tui.tui.app.COMPLAINTS", complaints)
    lock = RunLock.acquire(plain)
    app = RnnTuiApp(folder / "runs", preferences=preferences)
    found = []
    try:
        async with app.run_test(size=(110, 36), notifications=True) as pilot:
            looker = Looker(app, pilot, few)
            found = looker.found
            await looker.until(lambda: app.descriptions is not None)
            await looker.look("complaints")
            app.clear_notifications()
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
    """The monitor, at three sizes, of a text and of a series, its log and its dialogs; runs by names that are none."""
    app.open_run("plain-1")
    await looker.until(lambda: app.pane("train").monitor.history.events > 10)
    await looker.look("monitor")
    for width, height in ((80, 24), (150, 50), (110, 36))[:: 2 if words.few else 1]:
        await pilot.resize_terminal(width, height)
        app.pane("train").monitor.draw()
        await looker.look(f"monitor {width}x{height}")
    await looker.press("samples", "k", "j")
    await looker.press("log", "v", "tab", "escape")
    await looker.press("overlay", "o", "space", "j", "space", "enter")
    await looker.answer("model file", "e", *words.some(2))
    app.open_run("series-1")
    await looker.until(lambda: app.pane("train").monitor.history.forecast is not None)
    app.pane("train").monitor.draw()
    await looker.look("forecast")
    await looker.answer("resumption", "R", *words.some(2))
    for name in os.listdir(folder / "runs")[: 2 if words.few else None]:
        app.open_run(name)
    await looker.look("other runs")


async def converse(app, pilot, looker, words, corpus, folder):
    """Toasts, dialogs, settings, jump keys, help and palette."""
    for _ in words.some(2):
        for text in words.some(3):
            app.tell(text)
            app.fail(ValueError(text))
        app.offer_undo(words(), lambda: app.tell(words()))
        await looker.look("toasts")
        app.action_undo_last()
        await looker.look("undone")
        app.clear_notifications()
    for text in words.some(2):
        app.push_screen(Confirm(text, words()))
        await looker.look("question")
        app.pop_screen()
        app.push_screen(Ask(text, words(), lambda value: value + words()))
        await pilot.pause()
        await looker.paste(words())
        await looker.look("value")
        await pilot.press("enter")
        await looker.look("wrong value")
        app.pop_screen()
    await looker.press("settings", "f9", "ctrl+s", "escape")
    await looker.press("jump", "ctrl+g", "escape")
    await looker.press("help", "f1", "escape")
    app.action_command_palette()
    await pilot.pause()
    for text in words.some(2):
        await looker.paste(text)
        await looker.look("palette")
    await pilot.press("escape")


async def compare(app, pilot, looker, words, corpus, folder):
    """The table of runs at three widths, filtered; marked ones side by side; what is said of one; the trash."""
    pane = await go_to(app, looker, "runs")
    await looker.until(lambda: len(pane._shown) > 3)
    for width in (80, 150, 110)[:: 2 if words.few else 1]:
        await pilot.resize_terminal(width, 36)
        await looker.look(f"runs {width}")
    for _ in range(2):
        await looker.press("comparison", "m", "j")
    await looker.press("comparison", "w", "b", "f")
    for text in words.some(4):
        await looker.answer("filter", "slash", *(text, f"tag:{text}", f"loss<{text}")[2 * words.few :])
    for key in ("t",) if words.few else ("t", "a", "f2", "E", "l"):
        await looker.answer(f"runs, {key}", key, *words.some(2))
    await looker.press("settings", "v", "escape")
    await looker.press("evaluation", "e", "enter")
    await looker.until(lambda: not app.screen._busy)
    await looker.press("evaluation", "escape")
    await looker.press("deletion", "d", "u", "r", "T", "escape", "T", "enter")
    if len(app.screen_stack) > 1:
        app.pop_screen()
    app.show_pane("runs")


async def read_plugins(app, pilot, looker, words, corpus, folder):
    pane = await go_to(app, looker, "plugins")
    for _ in range(1 if words.few else 4):
        pane.query_one(DataTable).focus()
        await pilot.press("down")
        await looker.look("plugins")
        await pilot.press("t")
        await looker.look("plugin taken")
        app.show_pane("plugins")


async def measure(app, pilot, looker, words, corpus, folder):
    """The corpus pane: a hostile text under a hostile name, each of its views, its inputs."""
    pane = await go_to(app, looker, "corpus")
    pane.form.offer(["char", "word"])
    pane.tabs.offer(["char", "word"])
    await looker.look("corpus")
    source = folder / "corpus.txt"
    shutil.copy(corpus, source)
    (folder / as_name(words())).mkdir(exist_ok=True)
    pane.look(str(source))
    await looker.until(lambda: pane.reading is not None)
    for key in "ofpvxw":
        await looker.press("corpus", key, "p" if key == "p" else "pagedown")
    for key, where in (("x", "text"), ("v", "vocabulary")):
        await pilot.press(key)
        await looker.answer(where, "slash", *words.some(3))
        await pilot.press("escape")
    if not words.few:
        await looker.press("text", "x")
        await looker.answer("text", "percent_sign", *words.some(2))
        await looker.press("corpus", "f", "a", "u")
        await looker.until(
            lambda: pane.reading is not None and not any(one.is_running for one in pane.workers)
        )
    for text in words.some(3):
        pane.look(text)
        await looker.look("no corpus")
        pane.query_one("#corpus-source").focus()
        await looker.paste(text)
        await looker.look("corpus, pasted")
    await looker.press("corpora", "escape", "c")


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
        await looker.paste(words())
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
    """A model under a hostile name, an engine that writes hostile texts, a prompt of them; all that a line can say."""
    model = folder / f"{as_name(words())}.safetensors"
    model.write_bytes(b"x")
    (folder / "prompt.txt").write_text(words.plain())
    pane = await go_to(app, looker, "prompt")
    column = pane.column
    column.choose(model)
    column.load_model()
    await looker.until(lambda: column.session.current)
    await looker.look("prompt")
    for text in [*words.some(2), ""]:
        pane.line.input.value = ""
        pane.line.input.focus()
        await looker.paste(text)
        await looker.look("prompt, pasted")
        await pilot.press("enter")
        await looker.until(lambda: not pane.feed.writing)
        column.tail.flush()
        await looker.look("completion")
    await looker.press("transcript", "f3", "f2", "f7", "escape", "pageup")
    await looker.press("steering", "f6", "down", "enter", "backspace", "f6", "f8")
    await looker.until(lambda: not pane.feed.writing)
    await looker.press("batch", "b", "1")
    column.models.open()
    await looker.look("models")
    await pilot.press("escape")
    name = words()
    for what in ("save a", "snapshots", f"branch {name}", "file prompt.txt", "edit") if words.few else (
        f"save {name}", f"save a {folder / 'a.state'}", "snapshots", f"go {name}", f"branch {name}", "turns",
        f"restore a{name}", f"branches {name}", "export a.md", "export a.md", "restore a.state", "file prompt.txt",
        "edit",
    ):  # fmt: skip
        pane._try(lambda what=what: pane._command("/" + what))
        await looker.look(f"/{what[:9]}")
    await looker.paste(words())
    await looker.press("editor", "ctrl+s", "escape")
    await looker.until(lambda: not pane.feed.writing)
    if words.few:
        return
    for command in HANDLERS:
        pane._try(lambda command=command: pane._command(f"/{command} {words()}"))
        await looker.look(f"/{command}")
        await pilot.press("escape", "escape")


async def look_inside(app, pilot, looker, words, corpus, folder):
    """The Inspect pane: a model, text, units, patterns and notes that are hostile; all that can be asked for."""
    model = folder / f"{as_name(words())}.safetensors"
    model.write_bytes(b"x")
    pane = await go_to(app, looker, "inspect")
    app.open_inspect(str(model), words())
    await looker.until(lambda: pane.trace is not None)
    await looker.look("inspect")
    for view in INSPECTED:
        pane.action_view(view)
        await looker.press(f"inspect, {view}", "down", "enter")
    await looker.press("inspect", "s", "n", "l", "c", "escape")
    for what in ("regex", "unit") if words.few else ASKS:
        for text in words.some(3):
            pane.action_ask(what)
            pane.asking.line.value = ""
            await looker.paste(text)
            await pilot.press("enter")
            await looker.look(f"inspect, {what}")
    await pilot.press("escape")


async def mistype(app, pilot, looker, words, corpus, folder):
    """Every line that asks for a name, a path, a number or an expression is given one that is none."""
    await prompt(app, pilot, looker, words, corpus, folder)
    pane = app.pane("prompt")
    for argument in ARGUMENTS:
        for command in "batch undo save restore export file model compare colour seed temp".split():
            pane._try(lambda what=f"/{command} {argument}": pane._command(what))
            await pilot.pause()
        await looker.look(f"/ {argument[:20]}")
        await pilot.press("escape", "escape")
    await look_inside(app, pilot, looker, words, corpus, folder)
    for what in ASKS:
        for argument in ARGUMENTS:
            app.pane("inspect").action_ask(what)
            app.pane("inspect").asking.line.value = argument
            await pilot.press("enter")
            await looker.look(f"inspect, {what}")
    pane = await go_to(app, looker, "runs")
    await looker.until(lambda: len(pane._shown) > 3)
    for place, key in enumerate(("slash", "t", "a", "f2", "E", "l")):
        await looker.answer(f"runs, {key}", key, *ARGUMENTS[place % 3 :: 3])
    app.open_run("series-1")
    await looker.until(lambda: app.pane("train").monitor.history.forecast is not None)
    for key in ("R", "e"):
        await looker.answer(f"train, {key}", key, *ARGUMENTS[::3])
    pane = await go_to(app, looker, "corpus")
    for argument in ARGUMENTS:
        pane.look(argument)
        await looker.look("no corpus")


VISITS = (watch, converse, compare, measure, prompt, look_inside, read_plugins, fill_in)
