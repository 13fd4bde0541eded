"""How a user wants the app: the section `[app]` of the settings file, under the environment, over what it remembers.

Read before Textual is imported, since Textual reads its switches at import: nothing here may import it. A preference
that is wrong never keeps the app from starting; it is told and left out.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

from rnn_tui.errors import InputError, nearest
from rnn_tui.files import disk_error, replace_file
from rnn_tui.paths import settings_file
from rnn_tui.toml import parse_toml

SECTION = "app"
_TRUECOLOR = ("alacritty", "foot", "xterm-ghostty", "xterm-kitty", "wezterm", "contour", "rio")
"""Terminals with all colours that do not say so by COLORTERM, which ssh does not pass on."""


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """What a user can choose about the app itself."""

    theme: Annotated[str, Meta(description="Colours; empty: those chosen last.")] = ""
    color: Annotated[
        Literal["auto", "truecolor", "256", "16", "none"],
        Meta(description="Colours of the terminal; auto asks it."),
    ] = "auto"
    ascii: Annotated[bool, Meta(description="Charts and frames in ASCII.")] = False
    mouse: Annotated[bool, Meta(description="Off leaves the mouse to the terminal.")] = True
    fps: Annotated[
        int, Meta(ge=0, le=60, description="Pictures a second at most; 0: 60, and 15 over SSH.")
    ] = 0
    smoothing: Annotated[float, Meta(ge=0, le=0.99, description="Smoothing of training curves at first.")] = (
        0.6
    )
    keys: Annotated[
        dict[str, str], Meta(description="Keys of your own: id = keys; rnn-tui config keys lists the ids.")
    ] = field(default_factory=dict)


class Found(NamedTuple):
    """What was read."""

    chosen: Preferences
    told: list[str]
    """A sentence for each preference that is wrong and left out."""
    origins: dict[str, str]
    """Preference → the file or the variable that gives it, where it is no default."""


def read(environment: Mapping[str, str] | None = None) -> Found:
    """Return the preferences of the environment, over those of the settings file."""
    environment = os.environ if environment is None else environment
    values, told = _from_file(settings_file())
    origins = dict.fromkeys(values, str(settings_file()))
    for info in fields(Preferences):
        name = f"RNN_TUI_APP_{info.name.upper()}"
        if info.name != "keys" and environment.get(name):
            values[info.name] = environment[name]
            origins[info.name] = name
    right: dict[str, Any] = {}
    for key, value in values.items():
        try:
            msgspec.convert({key: value}, Preferences, strict=False)
            right[key] = value
        except msgspec.ValidationError:
            told.append(f"app.{key} is {expected(key)}, not {str(value)[:40]!r}")
    chosen = msgspec.convert(right, Preferences, strict=False)
    return Found(chosen, told, {key: origins[key] for key in right})


def _from_file(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        section = parse_toml(path.read_bytes()[: 256 * 1024]).get(SECTION, {})
    except FileNotFoundError:
        return {}, []
    except (OSError, ValueError):
        return {}, []  # a command that reads all of the file says what is wrong with it
    if not isinstance(section, dict):
        return {}, [f"[{SECTION}] must be a table of settings"]
    known = [info.name for info in fields(Preferences)]
    told = [
        f"there is no setting app.{key[:60]}{nearest(key[:60], known)}" for key in section if key not in known
    ]
    return {key: value for key, value in section.items() if key in known}, told


def expected(key: str) -> str:
    """Say in words what a preference can be."""
    from rnn_tui.plugin.options import option_infos

    info = next((info for info in option_infos(Preferences) if info.name == key), None)
    return info.expected() if info else "a table of texts"


def prepare_environment(chosen: Preferences, environment: dict[str, str] | Any = os.environ) -> None:
    """Set Textual's switches, calm ones on a slow line; what the user's environment has stays."""
    remote = bool(environment.get("SSH_CONNECTION"))
    if remote:
        environment.setdefault("TEXTUAL_ANIMATIONS", "none")
    if chosen.fps or remote:
        environment.setdefault("TEXTUAL_FPS", str(chosen.fps or 15))
    if environment.get("TMUX") or environment.get("STY"):
        # Smooth scrolling turns on pixel mouse reports, which a multiplexer can leave wrong after a resize.
        environment.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
    if chosen.color == "none":
        environment.setdefault("NO_COLOR", "1")
    elif chosen.color != "auto":
        system = {"16": "standard"}.get(chosen.color, chosen.color)
        environment.setdefault("TEXTUAL_COLOR_SYSTEM", system)
    elif environment.get("TERM", "").startswith(_TRUECOLOR) and not environment.get("COLORTERM"):
        environment.setdefault("TEXTUAL_COLOR_SYSTEM", "truecolor")


def write(key: str, value: str | bool | int | float | None) -> Path:
    """Set one preference in the user's file, where everything else stays as it is; None takes it out.

    Raises:
        InputError: when the file is no TOML, or writes the section in a way that a line cannot be changed in.
        DiskError: when it cannot be written.
    """
    path = settings_file()
    try:
        before = path.read_text("utf-8-sig") if path.exists() else ""
        old = parse_toml(before.encode())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}; mend it, then set this again") from None
    after = with_setting(before, key, value)
    section = dict(old.get(SECTION, {})) if isinstance(old.get(SECTION, {}), dict) else {}
    section.pop(key, None)
    wanted = {**old, SECTION: section if value is None else section | {key: value}}
    try:
        made = parse_toml(after.encode())
    except ValueError:
        made = {}
    if made != wanted and {k: v for k, v in wanted.items() if v or k != SECTION} != made:
        raise InputError(f"{path}: its section [{SECTION}] is written in a way that only you can change")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, f"could not create {path.parent}") from error
    replace_file(path, after.encode())
    return path


def with_setting(text: str, key: str, value: str | bool | int | float | None) -> str:
    """Return TOML with `app.key` set to `value`, or without it; the rest of the lines are untouched."""
    import tomli_w

    line = "" if value is None else tomli_w.dumps({key: value}).strip()
    lines = text.splitlines()
    heads = [number for number, one in enumerate(lines) if re.match(r"\s*\[", one)]
    begin = next((n for n in heads if re.fullmatch(rf"\s*\[\s*{SECTION}\s*\]\s*(#.*)?", lines[n])), None)
    if begin is None:
        if not line:
            return text
        gap = [""] if lines and lines[-1].strip() else []
        return "\n".join([*lines, *gap, f"[{SECTION}]", line]) + "\n"
    end = next((number for number in heads if number > begin), len(lines))
    at = next((n for n in range(begin + 1, end) if re.match(rf"\s*{key}\s*=", lines[n])), None)
    if at is not None:
        lines[at : at + 1] = [line] if line else []
    elif line:
        lines.insert(begin + 1, line)
    return "\n".join(lines) + "\n"
