"""The shell line that installs a package beside rnn-tui, for a person to type. Nothing here runs it.

How depends on how this environment was made: `uv tool` and pipx keep a list of what belongs to a tool and undo what
anybody else installs there, and an environment made by uv has no pip.
"""

import importlib.util
import json
import os
import re
import shlex
import shutil
import sys
import sysconfig
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def install_command(*requirements: str) -> str:
    """Return one shell line that installs `requirements` beside rnn-tui, in the environment that runs now.

    Args:
        requirements: what pip takes: `rnn-tui-mgu`, `rnn-tui[onnx]`, `rnn-tui-mgu==1.2`, `./folder`; a folder may have
            `--editable` before it, as a word of its own.
    """
    prefix = Path(sys.prefix)
    tool = _uv_tool(prefix / "uv-receipt.toml", requirements)
    words = tool or _pipx(prefix / "pipx_metadata.json", requirements) or [*_installer(prefix), *requirements]
    return shlex.join(words)


def uninstall_command(name: str) -> str:
    """Return one shell line that takes the distribution `name` out of the environment that runs now."""
    prefix = Path(sys.prefix)
    if tool := _uv_tool(prefix / "uv-receipt.toml", (), without=name):
        return shlex.join(tool)
    if piped := _pipx(prefix / "pipx_metadata.json", (name,)):
        return shlex.join(["uninject" if word == "inject" else word for word in piped])
    words = ["uninstall" if word == "install" else word for word in _installer(prefix)]
    return shlex.join([*words, name])


def is_package_name(name: str) -> bool:
    """Whether a distribution can have this name; one that a file gives may be anything."""
    return len(name) <= 200 and _NAME.fullmatch(name) is not None


def leads_here(command: str) -> bool:
    """Whether what a shell runs by this name is of the environment that runs now."""
    found = shutil.which(command)
    return found is not None and Path(found).parent.resolve() == Path(sysconfig.get_path("scripts")).resolve()


def _installer(prefix: Path) -> list[str]:
    """The words of the command before the requirements, where no other tool looks after the environment."""
    if importlib.util.find_spec("pip") is None and (_made_by_uv(prefix) or shutil.which("uv")):
        active = os.environ.get("VIRTUAL_ENV", "")
        here = bool(active) and Path(active).resolve() == prefix.resolve()
        return ["uv", "pip", "install", *([] if here else ["--python", sys.executable])]
    if leads_here("pip"):
        return ["pip", "install"]
    return [sys.executable or "python3", "-m", "pip", "install"]


def _made_by_uv(prefix: Path) -> bool:
    try:
        text = (prefix / "pyvenv.cfg").read_text()
    except (OSError, UnicodeDecodeError):
        return False
    return any(line.split("=")[0].strip() == "uv" for line in text.splitlines())


def _uv_tool(receipt: Path, requirements: tuple[str, ...], *, without: str = "") -> list[str] | None:
    """`uv tool install` with all that the tool had, but `without`: it drops what is not named again."""
    try:
        known: list[dict[str, Any]] = tomllib.loads(receipt.read_text())["tool"]["requirements"]
        names = [_normalised(each["name"]) for each in known]
        tool, *beside = known
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    wanted = {_name(each) or each: each for each in requirements if each != "--editable"}
    tool["extras"] = sorted({*tool.get("extras", []), *_extras(wanted.pop(names[0], ""))})
    words = ["uv", "tool", "install", *_words("--editable", [], tool)]
    for each in beside:
        if _normalised(each["name"]) not in (*wanted, _normalised(without)):
            words += _words("--with-editable", ["--with"], each)
    editable = [after for before, after in pairwise(requirements) if before == "--editable"]
    for requirement in wanted.values():
        words += ["--with-editable" if requirement in editable else "--with", requirement]
    return words


def _words(editable: str, otherwise: list[str], entry: dict[str, Any]) -> list[str]:
    """One entry of uv's receipt as it would be typed: with the option `editable`, or after `otherwise`."""
    extras = f"[{','.join(entry['extras'])}]" if entry.get("extras") else ""
    if "editable" in entry:
        return [editable, f"{entry['editable']}{extras}"]
    head = f"{entry['name']}{extras}"
    if place := entry.get("directory") or entry.get("path"):
        return [*otherwise, f"{head} @ {Path(place).as_uri()}"]
    if url := entry.get("git"):
        address, _, rest = url.partition("?")
        revision = re.search(r"(?:rev|tag|branch)=([^&#]+)", rest)
        at = f"@{revision[1]}" if revision else ""
        return [*otherwise, f"{head} @ git+{address.partition('#')[0]}{at}"]
    if url := entry.get("url"):
        return [*otherwise, f"{head} @ {url}"]
    return [*otherwise, f"{head}{entry.get('specifier', '')}"]


def _pipx(metadata: Path, requirements: tuple[str, ...]) -> list[str] | None:
    try:
        package = json.loads(metadata.read_text())["main_package"]
        own, tool = _normalised(package["package"]), package["package"] + package.get("suffix", "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if own in map(_name, requirements):  # `inject` leaves alone what is there, and so adds it no extra
        return ["pipx", "runpip", tool, "install", *requirements]
    return ["pipx", "inject", tool, *requirements]


def _name(requirement: str) -> str:
    found = re.match(rf"\s*({_NAME.pattern})\s*(?:$|[\[<>=!~;@ ])", requirement)
    return _normalised(found[1]) if found else ""


def _extras(requirement: str) -> list[str]:
    found = re.match(r"[^\[]*\[([^\]]*)\]", requirement)
    return [each.strip() for each in found[1].split(",") if each.strip()] if found else []


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
