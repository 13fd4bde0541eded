"""The app's shell: six panes, a tab bar, a footer, and what panes ask of it."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import ContentSwitcher, Footer

from rnn_tui.errors import UsageError, nearest
from rnn_tui.paths import state_dir
from rnn_tui.preferences import Preferences
from rnn_tui.tui import COMPLAINTS, PREFERENCES, theme
from rnn_tui.tui.dialogs import Help
from rnn_tui.tui.keys import bind, check_keymap, in_force, named, rows
from rnn_tui.tui.memory import read_memory, write_memory
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.terminal_app import TerminalApp
from rnn_tui.tui.widgets.lines import Line
from rnn_tui.tui.widgets.tabs import TabBar

if TYPE_CHECKING:
    from rnn_tui.plugin.describe import PluginDescription


PANES = ("corpus", "train", "prompt", "inspect", "runs", "plugins")


def pane_class(name: str) -> type[Pane]:
    """Return the class of a pane by its id. Its module is imported now: the first screen needs only one of them."""
    module = importlib.import_module(f"rnn_tui.tui.panes.{name}")
    found: type[Pane] = getattr(module, f"{name.capitalize()}Pane")
    return found


class RnnTuiApp(TerminalApp):
    """The app.

    Layouts, by width of the terminal (`-narrow` below 100, `-medium` from 100, `-wide` from 140). What gives way, in
    this order, as it gets narrower: the log tail, the three small charts (their sparklines stay), help texts beside
    settings, columns of tables. The loss chart, the figures and the newest sample are always there.
    """

    TITLE = "rnn-tui"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-medium"), (140, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (34, "-high")]  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = True
    CSS = """
    Screen { layout: vertical; }
    * { scrollbar-size-vertical: 1; }
    ContentSwitcher { height: 1fr; }
    Footer { background: $panel; }
    CommandPalette SearchIcon { display: none; }
    Toast { max-width: 70; }
    """

    BINDINGS: ClassVar[list[BindingType]] = named(
        "app",
        [
            *(
                bind(str(n), f"show_pane('{name}')", name.capitalize(), f"Go to {name.capitalize()}")
                for n, name in enumerate(PANES, 1)
            ),
            *(
                bind(
                    f"alt+{n}",
                    f"show_pane('{name}')",
                    name.capitalize(),
                    f"Go to {name.capitalize()}",
                    priority=True,
                )
                for n, name in enumerate(PANES, 1)
            ),
            bind(
                "ctrl+pagedown",
                "next_pane(1)",
                "Next pane",
                "Go to the next pane, even while typing",
                priority=True,
            ),
            bind(
                "ctrl+pageup",
                "next_pane(-1)",
                "Last pane",
                "Go to the pane before, even while typing",
                priority=True,
            ),
            bind("question_mark", "help", "Help", "Show every key", footer=True, shown_as="?"),
            bind("f1", "help", "Help", "Show every key, even while typing", priority=True),
            bind("f9", "settings", "Settings", "Choose colours, keys and the like"),
            bind("g", "jump", "Jump", "Put a letter on every part of the screen and go to one"),
            bind("ctrl+g", "jump", "Jump", "Jump, even while typing", priority=True),
            bind("u", "undo_last", "Undo", "Take back what was last deleted or changed"),
            bind("q", "quit", "Quit", "Leave the app; training goes on", footer=True),
            bind(
                "ctrl+q", "quit", "Quit", "Leave the app, even while typing; training goes on", priority=True
            ),
            bind(
                "ctrl+z", "suspend_process", "Suspend", "Put the app to sleep; fg in the shell brings it back"
            ),
        ],
    )

    def __init__(
        self,
        runs_dir: Path,
        *,
        demo: bool = False,
        ascii: bool = False,
        preferences: Preferences = PREFERENCES,
    ) -> None:
        self._memory_path = state_dir() / "app.json"
        self._memory = read_memory(self._memory_path)
        super().__init__()
        with contextlib.suppress(OSError):  # the folder that it is started in may be gone, now or later
            runs_dir = runs_dir.absolute()
        self.runs_dir = runs_dir
        self.demo = demo
        self.preferences = preferences
        self.ascii = ascii or preferences.ascii
        self.descriptions: list[PluginDescription] | None = None
        self.current_pane = ""
        self._panes: dict[str, Pane] = {}
        """The panes that are there, by id. Each is built when it is first asked for: five of six are not in a start."""
        for own in theme.THEMES:
            self.register_theme(own)
        plain = "ansi-dark" if self.console.color_system == "standard" else theme.DARK
        asked = [preferences.theme, self.recall("theme"), plain]
        self.theme = next(name for name in asked if isinstance(name, str) and name in self.available_themes)
        self._undo: Callable[[], object] | None = None

    # -- building and showing -------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        last = self.recall("pane")
        first = pane_class(last if last in PANES and not self.demo else "train")()
        yield TabBar([(name, str(number), name.capitalize()) for number, name in enumerate(PANES, 1)])
        with ContentSwitcher(initial=first.id):
            yield first
        yield Footer()

    def on_mount(self) -> None:
        self.screen.set_class(self.ascii, "-ascii")
        first = self.query_one(Pane)
        self._panes[str(first.id)] = first
        self._bring(first)
        self.theme_changed_signal.subscribe(self, lambda new: self.remember("theme", new.name))
        self.app_resume_signal.subscribe(self, lambda _: self.repaint_all())
        # after the first paint, which they would hold up
        self.call_after_refresh(self._take_keymap)
        self.call_after_refresh(self.read_plugins)

    def _take_keymap(self) -> None:
        """Let the user's own keys act; what is wrong with them, and with other preferences, is said."""
        told = list(COMPLAINTS)
        if self.preferences.theme and self.preferences.theme not in self.available_themes:
            told.append(
                f"app.theme: there is no theme {self.preferences.theme[:40]!r}"
                f"{nearest(self.preferences.theme, self.available_themes)}"
            )
        if self.preferences.keys:
            from rnn_tui.tui.key_tables import key_tables

            usable, wrong = check_keymap(self.preferences.keys, key_tables())
            self.set_keymap(usable)
            told += wrong
        for one in told:
            self.fail(one)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        chosen = self.current_theme
        return theme.chart_variables(dark=chosen.dark, ansi=chosen.ansi)

    def pane(self, name: str) -> Pane:
        """Return a pane that is there, by its id."""
        return self._panes[name]

    def show_pane(self, name: str) -> None:
        """Bring a pane to the front."""
        self._with_pane(name, self._bring)

    def _with_pane(self, name: str, act: Callable[[Pane], object]) -> None:
        """Let `act` have a pane: now where it is there, else as soon as it is built."""
        if name in self._panes:
            act(self._panes[name])
        else:
            self.call_next(self._build, name, act)

    async def _build(self, name: str, act: Callable[[Pane], object]) -> None:
        switcher = self.screen_stack[0].query_one(ContentSwitcher)
        if name not in self._panes:
            if not switcher.is_attached:  # the app leaves already
                return
            pane = pane_class(name)()
            await switcher.add_content(pane)
            self._panes[name] = pane
            if self.descriptions is not None:
                pane.described(self.descriptions)
        act(self._panes[name])

    def _bring(self, pane: Pane) -> None:
        name = str(pane.id)
        if name == self.current_pane:
            pane.shown()
            return
        if self.current_pane:
            self.pane(self.current_pane).hidden()
        self.current_pane = name
        base = self.screen_stack[0]
        base.query_one(ContentSwitcher).current = name
        base.query_one(TabBar).choose(name)
        self.remember("pane", name)
        pane.shown()

    async def action_show_pane(self, name: str) -> None:
        await self._build(name, self._bring)  # waited for: the next key belongs to this pane

    async def action_next_pane(self, direction: int) -> None:
        await self.action_show_pane(PANES[(PANES.index(self.current_pane) + direction) % len(PANES)])

    def on_tab_bar_chosen(self, event: TabBar.Chosen) -> None:
        self.show_pane(event.name)

    def set_status(self, status: Line) -> None:
        """Show what the run in view is doing, at the right of the tab bar."""
        for bar in self.query(TabBar) if self.is_running else ():
            bar.set_status(status)

    # -- what panes ask for ---------------------------------------------------------------------------------------

    def open_prompt(self, run_name: str, *, prompt: str = "", go: bool = False) -> None:
        """Show the Prompt pane with a run's model; with `go` complete `prompt` at once."""
        self._load("prompt", run_name, prompt=prompt, go=go)

    def open_run(self, run_name: str) -> None:
        """Show a run in the Train pane."""
        self._load("train", run_name)

    def _load(self, name: str, run_name: str, **wishes: Any) -> None:
        def load(pane: Pane) -> None:
            self._bring(pane)
            pane.load(run_name, **wishes)

        self._with_pane(name, load)

    def open_inspect(self, run_or_path: str, text: str = "") -> None:
        """Show what the units of a run's model, or of a model file, do with a text."""
        self._load("inspect", run_or_path, text=text)

    def new_run(self, settings: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Show the form to start a run, with `settings` (section → key → value) filled in."""

        def open_form(pane: Pane) -> None:
            self._bring(pane)
            pane.new_run(settings or {})

        self._with_pane("train", open_form)

    def read_plugins(self) -> None:
        """Find out what is installed, in a child process, and tell the panes."""
        self.run_worker(self._read_plugins, thread=True, group="plugins", exclusive=True)

    def _read_plugins(self) -> None:
        from rnn_tui.plugin.describe import describe_plugins

        # one that hangs when it is imported must not keep the form waiting for the others
        found = describe_plugins(early=lambda known: self.call_from_thread(self._plugins_known, known))
        self.call_from_thread(self._plugins_known, found)

    def _plugins_known(self, found: "list[PluginDescription]") -> None:
        self.descriptions = found
        for pane in self._panes.values():
            pane.described(found)

    def offer_undo(self, text: str, callback: Callable[[], object]) -> None:
        """Say what was done, and that a key takes it back; until the next such thing."""
        self._undo = callback
        self.tell(f"{text}; u takes it back")

    def action_undo_last(self) -> None:
        if self._undo is None:
            self.tell("There is nothing to take back.")
            return
        callback, self._undo = self._undo, None
        callback()

    def recall(self, key: str, default: Any = None) -> Any:
        """Return what `remember` kept, also from earlier starts."""
        return self._memory.get(key, default)

    def remember(self, key: str, value: Any) -> None:
        """Keep a JSON value for the next start; written when the app leaves."""
        self._memory[key] = value

    # -- keys, palette, help --------------------------------------------------------------------------------------

    def tables(self) -> list[tuple[str, list[Binding], str]]:
        """Return every key table: title, rows, and the id of the pane whose actions they are; none for the app's."""
        classes = {
            name: pane_class(name) for name in sorted(PANES, key=lambda name: name != self.current_pane)
        }
        found = [(kind.title, kind.table(), name) for name, kind in classes.items()]
        found.insert(1, ("Everywhere", rows(RnnTuiApp.BINDINGS), ""))
        return [(title, in_force(table, self._keymap), name) for title, table, name in found if table]

    def action_help(self) -> None:
        self.push_screen(Help([(title, table) for title, table, _ in self.tables()], self.get_key_display))

    @work(group="dialog")
    async def action_settings(self) -> None:
        from rnn_tui.tui.settings_dialog import SettingsDialog

        answer = await self.push_screen_wait(SettingsDialog(self.preferences, sorted(self.available_themes)))
        if answer == "kept":
            self.tell("Kept; what is not seen yet acts from the next start on.")

    @work(group="dialog")
    async def action_jump(self) -> None:
        from rnn_tui.tui.jump import Jump, targets

        chosen = await self.push_screen_wait(Jump(targets(list(self.screen.query("*")))))
        if chosen is not None:
            chosen.focus()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for title, table, pane in self.tables():
            seen: set[str] = set()
            for row in table:
                if row.action in seen:
                    continue
                seen.add(row.action)
                name = f"{title}: {row.description}" if pane else row.description
                title_and_key = f"{name}  ({self.get_key_display(row)})"
                yield SystemCommand(title_and_key, row.tooltip, self._runner(row.action, pane))
        yield SystemCommand("Theme", "Change the colours", self.action_change_theme)
        yield SystemCommand("Screenshot", "Save a picture of the screen as SVG", self._shoot)

    def _runner(self, action: str, name: str) -> Any:
        def run_in(pane: Pane) -> None:
            self._bring(pane)
            # A row of the pane's table may belong to a widget in it, as a chart's zoom does.
            method = f"action_{action.split('(')[0]}"
            target = next((found for found in (pane, *pane.query("*")) if hasattr(found, method)), pane)
            self.call_after_refresh(self.run_action, action, target)  # when the pane has its size

        if name:
            return lambda: self._with_pane(name, run_in)
        return lambda: self.call_after_refresh(self.run_action, action, self)

    def _shoot(self) -> None:
        self.set_timer(0.1, self.deliver_screenshot)  # when the palette is gone

    def unsaved(self) -> dict[str, str]:
        return {str(pane.id): text for pane in self._panes.values() if (text := pane.unsaved())}

    def on_unmount(self) -> None:
        write_memory(self._memory_path, self._memory)


def run_app(runs_dir: Path, *, demo: bool = False, ascii: bool = False) -> int:
    """Run the app and return its exit code.

    Args:
        runs_dir: Where run folders lie; made when the first run is.
        demo: Start the demo at once and complete a prompt with it when it is done.
        ascii: Charts and frames in ASCII.

    Raises:
        UsageError: without a terminal.
    """
    stderr = sys.__stderr__  # what Textual paints on
    if sys.__stdin__ is None or stderr is None or not (sys.__stdin__.isatty() and stderr.isatty()):
        raise UsageError("the app needs a terminal; without one use the commands, see rnn-tui --help")
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise UsageError("the app needs a terminal that can move its cursor; TERM is not set or dumb")
    ascii = ascii or "utf" not in (stderr.encoding or "").lower()
    app = RnnTuiApp(runs_dir, demo=demo, ascii=ascii)
    app.run(mouse=app.preferences.mouse)
    return app.return_code or 0
