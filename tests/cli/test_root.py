"""The one place where a failure becomes a line and an exit code."""

import os
import pty
import signal
import subprocess
import sys

import click
import pytest

from rnn_tui.cli import root
from rnn_tui.cli.base import Entry
from rnn_tui.errors import (
    BusyError,
    DiskError,
    DivergedError,
    InputError,
    OutOfMemoryError,
    PluginError,
    RnnTuiError,
    UsageError,
)


@pytest.fixture
def failing(cli, monkeypatch):
    """The command line with a command `fail` that raises what it is given."""

    def prepare(error):
        @click.command(cls=root.cli.command_class)
        def fail():
            raise error

        monkeypatch.setitem(root.cli.entries, "fail", Entry(__name__, "command", "", ""))
        monkeypatch.setattr(sys.modules[__name__], "command", fail, raising=False)
        return cli

    return prepare


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RnnTuiError("it is so"), 1),
        (UsageError("it is so"), 2),
        (InputError("it is so"), 3),
        (BusyError("it is so"), 4),
        (DiskError("it is so"), 5),
        (DivergedError("it is so"), 6),
        (OutOfMemoryError("it is so"), 7),
        (PluginError("it is so"), 8),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_failure_is_one_line_and_its_code(failing, error, code):
    done = failing(error)("fail")
    assert done.code == code
    assert done.refusal == "rnn-tui: error: it is so"


def test_text_from_outside_cannot_drive_the_terminal(failing):
    done = failing(InputError("bad\x1b]0;title\x07\nname"))("fail")
    assert done.refusal == "rnn-tui: error: bad␛]0;title␇␊name"


def test_unexpected_exception_is_one_line_and_debug_shows_more(failing):
    done = failing(ZeroDivisionError("by nought"))("fail")
    assert done.code == 1
    assert "ZeroDivisionError: by nought" in done.refusal
    assert "--debug" in done.err
    for arguments in (["fail", "--debug"], ["--debug", "fail"]):
        done = failing(ZeroDivisionError("by nought"))(*arguments)
        assert done.code == 1
        assert "Traceback (most recent call last)" in done.err
        assert done.out == ""


def test_full_disk_and_full_memory(failing):
    assert failing(OSError(28, "No space left on device"))("fail").code == 5
    assert failing(MemoryError())("fail").code == 7
    assert failing(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))("fail").code == 7


def test_interrupt_is_130(failing):
    done = failing(KeyboardInterrupt())("fail")
    assert done.code == 130
    assert done.out + done.err.strip() == ""


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["trian"], "'train'"),
        (["runs", "lst"], "'list'"),
        (["train", "--hiden-size", "3"], "'--hidden-size'"),
        (["--asci"], "'--ascii'"),
    ],
)
def test_usage_errors_name_the_nearest(cli, arguments, nearest):
    done = cli(*arguments)
    assert done.code == 2
    assert nearest in done.refusal
    assert "--help" in done.err


def test_a_group_without_a_command_names_its_commands(cli):
    done = cli("runs")
    assert done.code == 2
    names = "compare, export, list, note, rename, restore, rm, show, tag, trash"
    assert done.refusal == f"rnn-tui: error: rnn-tui runs takes a command: {names}"


@pytest.mark.parametrize(
    "arguments", [["train", "--lr", "fast"], ["runs", "show"], ["train", "--device", "abacus"]]
)
def test_other_usage_errors(cli, arguments):
    done = cli(*arguments)
    assert done.code == 2
    assert done.refusal


def test_app_needs_a_terminal(shell):
    done = shell()
    assert done.code == 2
    assert "terminal" in done.refusal


def test_app_needs_more_than_a_dumb_terminal(tmp_path):
    main, side = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "rnn_tui"],
        stdin=side,
        stdout=side,
        stderr=subprocess.PIPE,
        env=os.environ | {"TERM": "dumb"},
        cwd=tmp_path,
        text=True,
        timeout=60,
    )
    os.close(side)
    os.close(main)
    assert done.returncode == 2
    assert "TERM" in done.stderr


def test_reader_gone_and_full_disk_on_standard_output(tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "rnn_tui", "config", "show"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, cwd=tmp_path, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, timeout=60)
    assert done.returncode == 5
    assert b"no space left" in done.stderr


def test_sigterm_is_143(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-m", "rnn_tui", "stats", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    child.stdin.write(b"all work and no play\n" * 20_000)
    child.stdin.flush()  # more than fits into the pipe: it reads its standard input
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (143, b"", b"")


def test_every_command_has_help_with_examples(cli):
    def walk(command, path):
        yield path, command
        context = click.Context(command, info_name=path[-1])
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                yield from walk(command.get_command(context, name), [*path, name])

    seen = 0
    for path, command in walk(root.cli, ["rnn-tui"]):
        help_text = command.get_help(click.Context(command, info_name=" ".join(path)))
        assert command.help, path
        assert "Examples:" in help_text, path
        for line in command.examples.strip().splitlines():
            assert "rnn-tui" in line, path
        seen += 1
    assert seen > 30


def test_listed_summaries_match_existing_commands(cli):
    done = cli("--help")
    assert done.code == 0
    for name in root.ENTRIES:
        assert f"\n  {name} " in done.out
        assert cli(name, "--help").code == 0
