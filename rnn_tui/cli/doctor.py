"""`rnn-tui doctor`: what this installation has, and what is wrong with it."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import click

from rnn_tui import __version__
from rnn_tui.cli.base import Command, json_option, runs_dir_option
from rnn_tui.cli.output import emit, size, table

TORCH_SECONDS = 60.0
LOW_DISK = 1e9
PACKAGES = ("torch", "textual", "rich", "click", "numpy", "msgspec", "safetensors", "psutil", "platformdirs")

TORCH_PROBE = """
import json, torch
print(json.dumps({
    "version": torch.__version__,
    "cuda": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    "cuda_build": torch.version.cuda,
    "mps": torch.backends.mps.is_available(),
    "threads": torch.get_num_threads(),
    "cpu": torch.backends.cpu.get_cpu_capability(),
}))
"""


class Check(NamedTuple):
    """One line of the report: `ok`, `note` or `problem`."""

    name: str
    level: str
    value: str
    advice: str = ""


@click.command(cls=Command, examples="rnn-tui doctor\nrnn-tui doctor --json")
@json_option
@runs_dir_option
def doctor(as_json: bool, runs_dir: Path) -> None:
    """Check versions, devices, terminal, disk and plugins. Exit code 1 when something will not work."""
    checks = [
        *versions(),
        torch_check(TORCH_SECONDS),
        compiler(),
        *terminal(os.environ, sys.stdout.encoding or "", sys.stdout.isatty()),
        disk(runs_dir),
        writable(runs_dir),
        *surroundings(runs_dir),
        *plugins(),
    ]
    if as_json:
        emit(
            {
                "checks": [check._asdict() for check in checks],
                "ok": not any(c.level == "problem" for c in checks),
            }
        )
    else:
        # in one column: advice beside values as long as some errors are would stand far off
        table(["", "", ""], [(c.level, c.name, "; ".join(filter(None, (c.value, c.advice)))) for c in checks])
    if any(check.level == "problem" for check in checks):
        raise click.exceptions.Exit(1)


def versions() -> list[Check]:
    """The versions of this program, Python, the system and the packages it stands on."""
    found = [
        Check("rnn-tui", "ok", __version__),
        Check("python", "ok", f"{platform.python_version()}  {sys.executable}"),
        Check("system", "ok", f"{platform.platform()}, {os.cpu_count()} processors"),
    ]
    for name in PACKAGES:
        try:
            found.append(Check(name, "ok", metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append(Check(name, "problem", "not installed", "install rnn-tui again"))
    return found


def torch_check(seconds: float) -> Check:
    """Import torch in a child: it may hang or crash on a broken driver."""
    import json

    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", TORCH_PROBE],
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return Check(
            "devices", "problem", f"importing torch took more than {seconds:.0f} s", "check the GPU driver"
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Check("devices", "problem", f"torch cannot be imported: {last}", "install torch again")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    devices = ["cpu", *(f"cuda ({name})" for name in found["cuda"]), *(["mps"] if found["mps"] else [])]
    advice = (
        "torch is built for CUDA, but no GPU is to be seen"
        if found["cuda_build"] and not found["cuda"]
        else ""
    )
    return Check(
        "devices",
        "note" if advice else "ok",
        f"{', '.join(devices)}; {found['threads']} threads, {found['cpu']}",
        advice,
    )


def compiler() -> Check:
    """Whether torch could compile a step."""
    for name in (os.environ.get("CXX", ""), "g++", "gcc", "clang++", "clang"):
        if name and (found := shutil.which(name)):
            return Check("compiler", "ok", found)
    return Check("compiler", "note", "none", "without one, steps cannot be compiled; everything else works")


def terminal(environment: Mapping[str, str], encoding: str, is_terminal: bool) -> list[Check]:
    """What the app can draw on."""
    term = environment.get("TERM", "")
    colours = environment.get("COLORTERM", "")
    unusable = term in ("", "dumb")
    multiplexer = "tmux" if environment.get("TMUX") else "screen" if environment.get("STY") else ""
    found = [
        Check(
            "terminal",
            "note" if unusable or not is_terminal else "ok",
            ", ".join(filter(None, (term or "TERM is not set", colours, multiplexer))),
            "the app needs a terminal; every command works without" if unusable or not is_terminal else "",
        )
    ]
    if encoding.lower().replace("-", "") != "utf8":
        found.append(
            Check("encoding", "note", encoding, "set LANG to a UTF-8 locale, or use rnn-tui --ascii")
        )
    else:
        found.append(Check("encoding", "ok", encoding))
    if environment.get("NO_COLOR"):
        found.append(Check("colours", "note", "NO_COLOR is set", "everything is drawn in one colour"))
    return found


def _nearest_folder(path: Path) -> Path:
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    return path


def disk(runs_dir: Path) -> Check:
    """Room for runs."""
    free = shutil.disk_usage(_nearest_folder(runs_dir)).free
    low = free < LOW_DISK
    return Check("disk", "problem" if low else "ok", f"{size(free)} free", "free some space" if low else "")


def writable(runs_dir: Path) -> Check:
    """Whether runs can be made where they are to lie."""
    folder = _nearest_folder(runs_dir)
    if os.access(folder, os.W_OK | os.X_OK):
        return Check("runs", "ok", str(runs_dir.absolute()))
    return Check(
        "runs", "problem", f"{folder} cannot be written to", "choose another with --runs-dir or RNN_TUI_RUNS"
    )


def surroundings(runs_dir: Path) -> list[Check]:
    """What may harm a run that is kept there or started from here: other users, other machines, a logout."""
    from rnn_tui.runs.surroundings import warnings

    return [Check("safety", "note", text) for text in warnings(runs_dir)]


def plugins() -> list[Check]:
    """Which plugins work."""
    from rnn_tui.plugin.describe import describe_plugins
    from rnn_tui.plugin.single_file import plugins_folder

    found = describe_plugins()
    working = list(dict.fromkeys(each.info.name for each in found if not each.error))
    checks = [Check("plugins", "ok" if working else "problem", ", ".join(working) or "none", "")]
    for each in found:
        if each.error:
            checks.append(Check("plugin", "problem", f"{each.info}: {each.error}", each.advice))
    folder = plugins_folder()
    if folder.path is not None:
        checks.append(Check("plugins dir", "ok", f"{folder.path}, by {folder.origin}"))
    return checks
