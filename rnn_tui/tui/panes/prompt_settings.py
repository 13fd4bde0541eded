"""What the prompt pane can be told: sampling settings, as inputs and as slash commands, from one table."""

import random
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar, get_type_hints

import msgspec
from msgspec import Meta
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Label, Static

from rnn_tui.errors import UsageError, nearest
from rnn_tui.safetext import safe_text
from rnn_tui.tui.widgets.line_input import LineInput

Chance = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class PromptSettings:
    """How the next completion is drawn; all but `carry` go to the engine."""

    temperature: Annotated[float, Meta(ge=0, le=100)] = 0.8
    top_k: Annotated[int, Meta(ge=0, le=10**6)] = 0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    min_p: Chance = 0.0
    greedy: bool = False
    seed: Annotated[int, Meta(ge=0, lt=2**62)] | None = None
    length: Annotated[int, Meta(ge=1, le=100_000)] = 200
    stop: tuple[str, ...] = ()
    carry: bool = False

    def for_engine(self, seed: int) -> dict[str, Any]:
        """Return the engine's settings with a definite seed."""
        values = asdict(self)
        del values["carry"]
        return values | {"seed": seed}

    def summary(self) -> str:
        """Return what differs from a plain draw, short."""
        if self.greedy or self.temperature == 0:
            parts = ["greedy"]
        else:
            parts = [f"temperature {self.temperature:g}"]
            parts += [f"top-k {self.top_k}"] * (self.top_k > 0)
            parts += [f"top-p {self.top_p:g}"] * (self.top_p < 1)
            parts += [f"min-p {self.min_p:g}"] * (self.min_p > 0)
        return " · ".join(parts)


@dataclass(frozen=True)
class Setting:
    """One row of the panel and one slash command."""

    name: str
    command: str
    expected: str
    help: str
    empty: str = ""
    """Shown where there is no value."""

    @property
    def label(self) -> str:
        """The name in the panel and in messages."""
        return self.name.replace("_", "-")


SETTINGS = (
    Setting("temperature", "temp", "a number from 0 to 100", "0 is greedy; below 1 safer, above 1 wilder"),
    Setting("top_k", "top-k", "a whole number; 0 is off", "draw among the k most probable tokens; 0: off"),
    Setting(
        "top_p",
        "top-p",
        "a number above 0, up to 1",
        "draw among the fewest tokens that hold this share; 1: off",
    ),
    Setting(
        "min_p",
        "min-p",
        "a number from 0 to 1",
        "leave out tokens below this share of the best one's; 0: off",
    ),
    Setting("greedy", "greedy", "on or off", "always take the most probable token"),
    Setting(
        "seed",
        "seed",
        "a whole number, or nothing for a new one each time",
        "fixes the draws; empty: a new one each time",
        "new each time",
    ),
    Setting("length", "length", "a whole number from 1 to 100,000", "tokens in a completion"),
    Setting("stop", "stop", "text, or nothing", "end at this text; several are separated by |", "none"),
    Setting("carry", "carry", "on or off", "a prompt goes on from the last state instead of starting fresh"),
)
COMMANDS = {
    "retry": "the last completion again, from the same state, with another seed",
    "undo": "take the last turn back",
    "continue": "go on from the last state, with TEXT before it if given; an empty line does the same",
    "reset": "empty transcript, fresh state",
    "surprise": "colour the text by how surprising each token was",
    "help": "this list",
}
_HINT = "they act on the next completion; f2 shows and hides them"
_TYPES = get_type_hints(PromptSettings, include_extras=True)
_BY_COMMAND = {setting.command: setting for setting in SETTINGS}
_SWITCH = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


def new_seed() -> int:
    """Return a seed for one completion; short, so that it can be typed again."""
    return random.SystemRandom().randrange(100_000)


def parse_setting(setting: Setting, text: str, now: Any = None) -> Any:
    """Read a setting's value as it was typed; a switch without a value turns over from `now`.

    Raises:
        UsageError: naming what would be right.
    """
    text = text if setting.name == "stop" else text.strip().lower()
    try:
        match setting.name:
            case "stop":
                return tuple(part for part in text.split("|") if part)
            case "seed" if text in ("", "random", "none"):
                return None
            case "greedy" | "carry":
                return (not now) if text == "" and now is not None else _SWITCH[text]
            case _:
                return msgspec.convert(text, _TYPES[setting.name], strict=False)
    except (msgspec.ValidationError, KeyError):
        raise UsageError(f"{setting.label} must be {setting.expected}, not {text!r}") from None


def show_setting(value: Any) -> str:
    """Return a value as it would be typed."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return "|".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def parse_command(line: str) -> tuple[str, str]:
    """Split `/name argument`; the name is one of `COMMANDS` or a setting's.

    Raises:
        UsageError: for an unknown name, with the nearest.
    """
    name, _, argument = line[1:].partition(" ")
    known = [*COMMANDS, *_BY_COMMAND]
    if name not in known:
        raise UsageError(
            f"there is no command /{name}{nearest(name, known)}; /help lists all; a prompt with a slash starts with //"
        )
    return name, argument


def apply_command(settings: PromptSettings, name: str, argument: str) -> PromptSettings:
    """Return `settings` after a setting's command; raises as `parse_setting`."""
    setting = _BY_COMMAND[name]
    return replace(
        settings, **{setting.name: parse_setting(setting, argument, getattr(settings, setting.name))}
    )


def help_text() -> str:
    """Return the list that /help writes."""
    rows = [(f"/{name}", text) for name, text in COMMANDS.items()]
    rows += [(f"/{setting.command}", setting.help) for setting in SETTINGS]
    return "\n".join(f"{name:<11}{text}" for name, text in rows)


class SettingsPanel(Vertical):
    """The settings as a column of inputs, each checked as it is typed."""

    DEFAULT_CSS = """
    SettingsPanel { height: auto; }
    SettingsPanel .setting { height: 1; }
    SettingsPanel Label { width: 13; color: $foreground 60%; }
    SettingsPanel LineInput { width: 1fr; background: $panel; }
    SettingsPanel .setting-title { text-style: bold; color: $foreground 60%; }
    SettingsPanel LineInput.-wrong { background: $error-muted; color: $text-error; }
    SettingsPanel .setting-help { height: 2; color: $foreground 60%; margin-top: 1; }
    SettingsPanel .setting-help.-wrong { color: $text-error; }
    """

    class Changed(Message):
        """A setting has a new value that is right."""

        def __init__(self, settings: PromptSettings) -> None:
            super().__init__()
            self.settings = settings

    NAMES: ClassVar[dict[str, Setting]] = {f"setting-{setting.command}": setting for setting in SETTINGS}

    def __init__(self) -> None:
        super().__init__()
        self.settings = PromptSettings()

    def compose(self) -> ComposeResult:
        yield Static("settings", classes="setting-title")
        for setting in SETTINGS:
            with Horizontal(classes="setting"):
                yield Label(safe_text(setting.label), markup=False)
                yield LineInput(
                    show_setting(getattr(self.settings, setting.name)),
                    placeholder=safe_text(setting.empty),
                    id=f"setting-{setting.command}",
                )
        yield Static(_HINT, classes="setting-help", markup=False)

    def show(self, settings: PromptSettings) -> None:
        """Take over settings that changed elsewhere."""
        self.settings = settings
        for name, setting in self.NAMES.items():
            field = self.query_one(f"#{name}", LineInput)
            shown = show_setting(getattr(settings, setting.name)).replace("\n", "␊")
            if not field.has_focus and field.value != shown:
                with self.prevent(Input.Changed):
                    field.value = shown
                field.remove_class("-wrong")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        setting = self.NAMES[str(event.input.id)]
        assert isinstance(event.input, LineInput)
        try:
            value = parse_setting(setting, event.input.text)
        except UsageError as error:
            event.input.add_class("-wrong")
            self._say(str(error), wrong=True)
            return
        event.input.remove_class("-wrong")
        self._say(setting.help if event.input.has_focus else "")
        if value != getattr(self.settings, setting.name):
            self.settings = replace(self.settings, **{setting.name: value})
            self.post_message(self.Changed(self.settings))

    def on_descendant_focus(self) -> None:
        focused = self.screen.focused
        if focused is not None and focused.id in self.NAMES:
            self._say(self.NAMES[focused.id].help)

    def on_descendant_blur(self) -> None:
        self._say("")
        self.show(self.settings)  # a field that was left wrong shows the value in force again

    def _say(self, text: str, *, wrong: bool = False) -> None:
        line = self.query_one(".setting-help", Static)
        line.set_class(wrong, "-wrong")
        line.update(Content(safe_text(text) or _HINT))
