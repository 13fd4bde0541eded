"""The form that starts a run. Its rows come from the settings' own declarations and from the plugins' options."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import events, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Collapsible, Static

from rnn_tui.errors import RnnTuiError
from rnn_tui.safetext import safe_text
from rnn_tui.tui import format as f
from rnn_tui.tui.panes.fields import Field
from rnn_tui.tui.panes.form_rows import BASIC, LABELS, PLUGIN, culprit, declarations, nested
from rnn_tui.tui.panes.form_settings import Filling, Settings, users_own, with_those_of
from rnn_tui.tui.panes.recipe_rows import RecipeRows
from rnn_tui.tui.panes.warm_start_row import WarmStartRow

if TYPE_CHECKING:
    from rnn_tui.plugin.describe import PluginDescription

_LAYER = "form"
_IDLE = "ctrl+s starts    esc leaves an input"
_SAY_SECONDS = 0.2
_NOTHING = "none installed"


class TrainForm(Vertical):
    """Rows of settings and the start button; a refused start loses nothing that was entered."""

    SCOPED_CSS = False  # the classes for width and height are on the screen
    DEFAULT_CSS = """
    TrainForm { height: 1fr; }
    TrainForm > VerticalScroll { height: 1fr; }
    TrainForm .section { text-style: bold; color: $primary; }
    TrainForm .error { color: $text-error; height: auto; display: none; }
    TrainForm #hint { height: 1; color: $foreground 60%; text-overflow: ellipsis; text-wrap: nowrap; }
    TrainForm #buttons { height: 1; margin-top: 0; }
    .-high TrainForm #buttons { margin-top: 1; }
    .-narrow Field > .label { width: 15; }
    .-narrow TrainForm Field > .label { width: 17; }
    .-narrow TrainForm Field > Entry, .-narrow TrainForm Field > Select { width: 24; }
    .-narrow Field > Entry, .-narrow Field > Select { width: 26; }
    TrainForm #buttons Button { margin-right: 2; }
    TrainForm #said { width: 1fr; color: $foreground 60%; }
    TrainForm Collapsible { background: transparent; border: none; padding: 0; }
    TrainForm Collapsible Contents { padding: 0; height: auto; }
    TrainForm CollapsibleTitle { padding: 0; color: $primary; text-style: bold; }
    TrainForm .options { height: auto; }
    TrainForm.-numbers .tokens { display: none; }
    .-high TrainForm .section { margin-top: 1; }
    """

    class Started(Message):
        """A run was created and its worker started."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self) -> None:
        super().__init__(id="form")
        self._known = declarations()
        self._filling = Filling({}, {})
        self._descriptions: list[PluginDescription] = []
        self._options_of: dict[str, str] = {}
        """Whose options are shown below the row of a plugin."""
        self._named = ""
        """The name that the last recipe gave."""
        self._busy = False
        self._said = 0.0

    # -- building -------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        from rnn_tui.corpus.sources import named_corpora
        from rnn_tui.plugin.options import OptionInfo

        names = [corpus.name for corpus in named_corpora() if corpus.available]
        with VerticalScroll(can_focus=False):
            yield Static("", classes="error")
            yield RecipeRows()
            name = OptionInfo(
                "name", "str", "", "What the run is called; empty: made from architecture and corpus."
            )
            yield Field("run", name)
            yield WarmStartRow(self.app.runs_dir)  # type: ignore[attr-defined]
            for title, paths in BASIC:
                yield Static(title, classes="section")
                for section, key in paths:
                    path = f"{section}.{key}"
                    info = self._known[path]
                    if path in PLUGIN:
                        info = replace(info, type="choice", choices=(str(info.default),))
                    elif path == "corpus.source":
                        info = replace(info, help=f"A file, a folder, or {', '.join(names)}")
                    field = Field(
                        section,
                        info,
                        label=LABELS.get(path, ""),
                        suggestions=names if path == "corpus.source" else (),
                    )
                    field.set_class(section == "tokenizer", "tokens")
                    yield field
                    if path in PLUGIN:
                        kind = "options tokens" if section == "tokenizer" else "options"
                        yield Vertical(classes=kind, id=PLUGIN[path][1].replace(".", "-"))
            yield Collapsible(Vertical(classes="options", id="all"), title="All settings", collapsed=True)
        yield Static("", id="hint")
        with Horizontal(id="buttons"):
            yield Button("Start", variant="primary", compact=True, id="start")
            yield Button("Cancel", compact=True, id="cancel")
            yield Static(_IDLE, id="said")

    def fields(self) -> list[Field]:
        """All rows that are there now."""
        return list(self.query(Field))

    def field(self, path: str) -> Field | None:
        """Return a row by section.key."""
        return next((field for field in self.fields() if field.path == path), None)

    async def described(self, descriptions: "list[PluginDescription]") -> None:
        """Offer the plugins that can be used."""
        self._descriptions = descriptions
        for path, (kind, _) in PLUGIN.items():
            names = [d.info.name for d in descriptions if d.info.kind == kind and d.error is None]
            field = self.field(path)
            if field is None or (names and names == list(field.info.choices)):
                continue  # told again: what was chosen since stays
            field.set_choices(names or [_NOTHING])
            if names:
                await self._choose(path)
            else:
                field.set_wrong(f"no {kind} is installed; install a package that has one")

    async def _choose(self, path: str) -> None:
        """Choose the plugin that the settings name, and make the rows of its own options."""
        field = self.field(path)
        assert field is not None
        section, key = path.split(".")
        value = self._filling.settings.get(section, {}).get(key)
        if value in field.info.choices:
            field.set_value(value)
        elif value and self._descriptions:
            field.set_wrong(f"{value} is not installed; choose another one")
        await self._show_options(path, field.value)

    async def _show_options(self, path: str, name: str) -> None:
        kind, section = PLUGIN[path]
        known = (d for d in self._descriptions if d.info.kind == kind and d.info.name == name)
        options = next(known, None)
        if options is None or self._options_of.get(path) == name:
            return
        self._options_of[path] = name
        place = self.query_one(f"#{section.replace('.', '-')}", Vertical)
        values = self._filling.settings.get(section.split(".")[0], {}).get("options") or {}
        await place.remove_children()
        await place.mount(
            *(Field(section, info, values.get(info.name), label=f"· {info.name}") for info in options.options)
        )

    async def on_field_changed(self, event: Field.Changed) -> None:
        event.stop()
        if event.field.path in PLUGIN:
            await self._show_options(event.field.path, event.field.value)
        elif event.field.path == "task.name":
            self.set_class(event.field.value == "series", "-numbers")

    async def on_recipe_rows_chosen(self, event: RecipeRows.Chosen) -> None:
        """Fill in the form from a recipe: every row, so that nothing is left of the one before."""
        event.stop()
        try:
            await self._fill(users_own([event.recipe.layer]))
        except RnnTuiError as error:
            self._error(str(error))
            return
        name = self.field("run.name")
        assert name is not None
        if name.value in ("", self._named):
            from rnn_tui.runs.folder import free_name

            runs_dir = self.app.runs_dir  # type: ignore[attr-defined]
            self._named = free_name(runs_dir, event.recipe.name)
            name.set_value(self._named)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Show the whole help of the row that has the cursor; beside the row there may be no room for it."""
        field = event.widget.parent
        text = field.info.help if isinstance(field, Field) else ""
        self.query_one("#hint", Static).update(Content(safe_text(text)))

    def on_collapsible_expanded(self, event: Collapsible.Expanded) -> None:
        place = self.query_one("#all", Vertical)
        if place.children:
            return
        there = {field.path for field in self.fields()}
        section_before = ""
        for path, info in self._known.items():
            section = path.split(".")[0]
            if path in there:
                continue
            if section != section_before:
                place.mount(Static(safe_text(section), classes="section", markup=False))
                section_before = section
            value = self._filling.settings.get(section, {}).get(info.name)
            place.mount(Field(section, info, value, origin=self._filling.origins.get(path, "")))

    async def fill(self, settings: Settings) -> None:
        """Put `settings`, those of a run or some of one, into the rows; the others become the user's own."""
        try:
            own = users_own()
        except RnnTuiError as error:
            self._error(str(error))
            from rnn_tui.training.config import RunConfig, to_dict

            own = Filling(to_dict(RunConfig()), {})
        await self._fill(with_those_of(own, settings))

    async def _fill(self, filling: Filling) -> None:
        self._filling = filling
        self._options_of.clear()
        rows = {field.path: field for field in self.fields()}
        for section, values in filling.settings.items():
            for key, value in values.items():
                path = f"{section}.{key}"
                if path not in PLUGIN and path in rows:
                    rows[path].set_value(value, filling.origins.get(path, ""))
        for path in PLUGIN:
            await self._choose(path)

    async def on_warm_start_row_chosen(self, event: WarmStartRow.Chosen) -> None:
        """Put what the model decides into the rows; all else stays as it was entered."""
        event.stop()
        if event.settings:
            entered = with_those_of(self._filling, self.settings())
            await self._fill(with_those_of(entered, event.settings))
        event.then()

    def on_warm_start_row_refused(self, event: WarmStartRow.Refused) -> None:
        event.stop()
        self._busy = False
        self.say("")

    def focus_first(self) -> None:
        """Put the cursor into the corpus row."""
        field = self.field("corpus.source")
        if field is not None:
            field.focus_editor()

    # -- starting -------------------------------------------------------------------------------------------------

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return what was entered, as a layer of settings."""
        settings = nested(field for field in self.fields() if field.section != "run")
        # What another run brought along and no row shows is kept.
        shown = {field.path for field in self.fields()}
        for section, values in self._filling.settings.items():
            for key, value in values.items():
                if f"{section}.{key}" not in shown and key != "options":
                    settings.setdefault(section, {})[key] = value
        return settings

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "start":
            self.start()
        else:
            self.post_message(self.Started(""))

    def start(self) -> None:
        """Check everything and start; what is wrong is shown at its row."""
        if self._busy:
            return
        self._busy = True
        for field in self.fields():
            if field.has_class("-wrong"):
                field.set_wrong("")
        self._error("")
        self.say("checking")
        warm, name = self.query_one(WarmStartRow), self.field("run.name")
        assert name is not None
        warm.take_over(lambda: self._start(str(name.value).strip(), self.settings(), warm.target))

    @work(thread=True, group="start")
    def _start(self, name: str, settings: Settings, target: str) -> None:
        from rnn_tui.inference.target import resolve_target
        from rnn_tui.training import launch

        runs_dir: Path = self.app.runs_dir  # type: ignore[attr-defined]
        try:
            model = resolve_target(target, runs_dir) if target else None
            config = launch.prepare_run_config([(_LAYER, settings)]).config
            run = launch.start(runs_dir, name or None, config, progress=self._progress, warm_start=model)
        except RnnTuiError as error:
            self.app.call_from_thread(self._refused, str(error))
        else:
            self.app.call_from_thread(self._accepted, run.name)

    def _progress(self, what: str, done: int, total: int | None) -> None:
        if time.monotonic() - self._said < _SAY_SECONDS:
            return
        self._said = time.monotonic()
        share = f" {100 * done // total} %" if total else f" {f.short(done)}"
        self.app.call_from_thread(self.say, f"{what}{share}")

    def _accepted(self, name: str) -> None:
        self._busy = False
        self.say("")
        self.post_message(self.Started(name))

    def _refused(self, message: str) -> None:
        self._busy = False
        self.say("")
        field = culprit(self.fields(), message)
        shown = message.removeprefix(f"{_LAYER}: ")
        if field is None:
            self._error(shown)
            return
        field.set_wrong(shown.removeprefix(f"{field.path}: "))
        field.focus_editor()
        field.scroll_visible()

    def _error(self, message: str) -> None:
        line = self.query_one(".error", Static)
        line.display = bool(message)
        line.update(Content(safe_text(message)))
        if message:
            line.scroll_visible()

    def say(self, text: str) -> None:
        """Show what is being done, or which keys there are, beside the buttons."""
        self.query_one("#said", Static).update(Content(safe_text(text or _IDLE)))
