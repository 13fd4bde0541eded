"""The command `rnn-tui`: its commands, and the one place where a failure becomes a line and an exit code."""

import errno
import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from rnn_tui import __version__
from rnn_tui.cli.base import Entry, LazyGroup, runs_dir_option
from rnn_tui.errors import RnnTuiError, UsageError, is_out_of_memory
from rnn_tui.safetext import safe_text

START, STEER, USE, LOOK = "Begin", "Runs", "Models and corpora", "This installation"
ENTRIES = {
    "demo": Entry(
        "rnn_tui.cli.demo", "demo", START, "Train for one minute on the built-in corpus, then complete."
    ),
    "train": Entry("rnn_tui.cli.train", "train", START, "Train a model on a corpus and follow it."),
    "recipes": Entry(
        "rnn_tui.cli.recipes", "recipes", START, "The classic experiments by name: list, show, run."
    ),
    "runs": Entry("rnn_tui.cli.runs", "runs", STEER, "List, compare, label, rename and remove runs."),
    "watch": Entry("rnn_tui.cli.control", "watch", STEER, "Follow a run."),
    "pause": Entry("rnn_tui.cli.control", "pause", STEER, "Pause a run at its next step."),
    "resume": Entry("rnn_tui.cli.control", "resume", STEER, "Go on with a paused, stopped or crashed run."),
    "stop": Entry("rnn_tui.cli.control", "stop", STEER, "Write a checkpoint and stop a run."),
    "checkpoint": Entry("rnn_tui.cli.control", "checkpoint", STEER, "Write a checkpoint now."),
    "set": Entry("rnn_tui.cli.control", "set_", STEER, "Change the learning rate of a run."),
    "prompt": Entry("rnn_tui.cli.prompt", "prompt", USE, "Complete a text with a model."),
    "eval": Entry("rnn_tui.cli.evaluate", "evaluate", USE, "Perplexity, bpc and bpb beside baselines."),
    "inspect": Entry(
        "rnn_tui.cli.inspect", "inspect", USE, "Which units fire on what, gates, and reach of gradients."
    ),
    "export": Entry("rnn_tui.cli.export", "export", USE, "Weights for a script in plain torch, or as ONNX."),
    "import": Entry(
        "rnn_tui.cli.import_", "import_", USE, "A model file out of weights of nn.LSTM, nn.GRU or nn.RNN."
    ),
    "stats": Entry(
        "rnn_tui.cli.corpus", "stats", USE, "What is in a corpus, and whether it can be trained on."
    ),
    "corpus": Entry("rnn_tui.cli.corpus", "corpus", USE, "List the named corpora and download one."),
    "bench": Entry("rnn_tui.cli.bench", "bench", LOOK, "How fast architectures train and sample here."),
    "plugins": Entry(
        "rnn_tui.cli.plugins", "plugins", LOOK, "Architectures and tokenizers: list, write, check, score."
    ),
    "config": Entry("rnn_tui.cli.config", "config", LOOK, "Settings, and where each value comes from."),
    "doctor": Entry(
        "rnn_tui.cli.doctor", "doctor", LOOK, "Check versions, devices, terminal, disk and plugins."
    ),
    "completion": Entry("rnn_tui.cli.completion", "completion", LOOK, "Print a shell completion script."),
}
EXAMPLES = """
rnn-tui demo                                  see one model learn, in a minute
rnn-tui                                       the app
rnn-tui train book.txt --minutes 3            train on a text of your own
rnn-tui prompt lstm-book-1 "Once upon "       complete a text with it
rnn-tui COMMAND --help                        every command has examples
"""


def _take_plugins_dir(context: click.Context, _: click.Parameter, value: Path | None) -> Path | None:
    """Put the folder where this process and those that it starts look for it; for a shell that completes, too."""
    if value is not None:
        from rnn_tui.plugin.single_file import VARIABLE

        if not value.is_dir() and not context.resilient_parsing:
            raise UsageError(f"--plugins-dir: there is no folder {value}")
        os.environ[VARIABLE] = str(value.absolute())
    return value


@click.group(
    cls=LazyGroup,
    entries=ENTRIES,
    examples=EXAMPLES,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": False},
)
@runs_dir_option
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw the app with ASCII only.")
@click.option("--no-plugins", is_flag=True, help="Leave out every plugin that does not ship with rnn-tui.")
@click.option(
    "--plugins-dir",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_take_plugins_dir,
    metavar="DIR",
    help="A folder whose *.py files are plugins, too.  [default: RNN_TUI_PLUGINS_DIR or plugins.dir]",
)
@click.option("--debug", is_flag=True, help="Show a traceback on failure.")
@click.version_option(__version__, message="rnn-tui %(version)s")
@click.pass_context
def cli(
    context: click.Context,
    runs_dir: Path,
    ascii_only: bool,
    no_plugins: bool,
    plugins_dir: Path | None,
    debug: bool,
) -> None:
    """A terminal workbench for recurrent language models: look at a corpus, train, watch, evaluate, prompt.

    Without a command, the app opens.
    """
    if debug:
        context.ensure_object(dict)["debug"] = True
    if no_plugins and plugins_dir:
        raise UsageError("--no-plugins leaves out those of --plugins-dir, too; give one of the two")
    if no_plugins:
        from rnn_tui.plugin.registry import OWN, SWITCH

        os.environ[SWITCH] = OWN  # for the processes that this one starts, too
    if context.invoked_subcommand is not None:
        return
    if not app_can_run():
        raise UsageError(
            "the app needs a terminal on standard input and output, and TERM other than dumb; "
            "rnn-tui --help lists the commands that need none"
        )
    from rnn_tui.tui.app import run_app

    raise click.exceptions.Exit(run_app(runs_dir, ascii=ascii_only))


def app_can_run() -> bool:
    """Whether the app has a terminal to draw on."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def main() -> NoReturn:
    """Run the command line and exit with the code that says how it went."""
    signal.signal(signal.SIGTERM, _terminated)
    _fill_gaps()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # replaced where somebody runs this within a program
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def _fill_gaps() -> None:
    """Open nothing in place of standard streams that are closed, as after `>&-`.

    Else the next file that is opened gets the number of one, and what a library writes there goes into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r"))  # noqa: SIM115  for as long as we live


def _terminated(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def run(arguments: list[str]) -> int:
    """Run the command line; return its exit code: 0 done, 1 failed, and those of `rnn_tui.errors`."""
    options: dict[str, bool] = {}
    try:
        result = cli.main(arguments, "rnn-tui", standalone_mode=False, obj=options)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.Abort):
        with suppress(OSError):
            if sys.stderr.isatty():  # the shell's prompt begins a line of its own, with a cursor
                print("" if os.environ.get("TERM") == "dumb" else "\x1b[?25h", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _drop_output()
        return 1
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and plugin_error(error) is None:
            return error.code if isinstance(error.code, int) else 1
        line, code = explain(error)
        with suppress(OSError):  # standard error may be gone, too
            if options.get("debug"):
                import traceback

                print(safe_text(traceback.format_exc(), newlines=True), file=sys.stderr)
            print(safe_text(f"rnn-tui: error: {line}"), file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return code


def _drop_output() -> None:
    """Send what could not be written nowhere: the interpreter flushes once more at exit, and would exit with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def plugin_error(error: BaseException) -> RnnTuiError | None:
    """Return the error as that of the plugin in whose code it arose, see `rnn_tui.plugin.loading.blamed`."""
    from rnn_tui.plugin.loading import blamed

    return blamed(error)


def explain(error: BaseException) -> tuple[str, int]:
    """Return the one line that tells of `error`, and the exit code."""
    if isinstance(error, RnnTuiError):
        return safe_text(error), error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and error.ctx:
        known = ", ".join(error.ctx.command.list_commands(error.ctx))  # type: ignore[attr-defined]
        return f"{error.ctx.command_path} takes a command: {known}", error.exit_code
    if isinstance(error, click.ClickException):
        message = safe_text(error.format_message()).rstrip(".")
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "rnn-tui"
        if isinstance(error, click.NoSuchOption) and error.option_name in ("--plugins-dir", "--no-plugins"):
            return (
                f"{error.option_name} stands before the command: rnn-tui {error.option_name} …",
                error.exit_code,
            )
        return f"{message}{'' if message.endswith('?') else ';'} see {path} --help", error.exit_code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return safe_text(f"no space left on the disk: {error}; free some and try again"), 5
    if is_out_of_memory(error):
        return "out of memory; close other programs, or take a smaller model or corpus", 7
    if culprit := plugin_error(error):
        return safe_text(f"{culprit}; run again with --debug for a traceback"), culprit.exit_code
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return safe_text(f"unexpected {what}; run again with --debug for a traceback"), 1
