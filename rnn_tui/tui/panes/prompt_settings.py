"""How the next completion is drawn: one table for the inputs of the panel and the slash commands."""

import contextlib
import random
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from rnn_tui.errors import UsageError

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

    @property
    def deterministic(self) -> bool:
        """Whether a seed means nothing."""
        return self.greedy or self.temperature == 0

    def summary(self) -> str:
        """Return what differs from a plain draw, short."""
        if self.deterministic:
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
    Setting("carry", "carry", "on or off", "a prompt goes on from the last state, not fresh"),
)
HINT = "they act on the next completion; f2 shows and hides them"
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


def read_settings(values: Any) -> PromptSettings:
    """Return remembered settings; what is not right any more is left as it is by default."""
    settings = PromptSettings()
    for name, value in values.items() if isinstance(values, dict) else ():
        if name in _TYPES:
            with contextlib.suppress(msgspec.ValidationError):
                settings = replace(settings, **{name: msgspec.convert(value, _TYPES[name])})
    return settings


def show_setting(value: Any) -> str:
    """Return a value as it would be typed."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return "|".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def apply_command(settings: PromptSettings, name: str, argument: str) -> PromptSettings:
    """Return `settings` after a setting's command; raises as `parse_setting`."""
    setting = _BY_COMMAND[name]
    return replace(
        settings, **{setting.name: parse_setting(setting, argument, getattr(settings, setting.name))}
    )
