"""What is done with the run under the cursor: a container whose keys act on it, each as a command of the CLI does."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import work
from textual.app import SuspendNotSupported
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message

from rnn_tui.errors import RnnTuiError, UsageError
from rnn_tui.runs.layout import RunFolder
from rnn_tui.safetext import safe_text
from rnn_tui.tui.dialogs import Ask, Confirm
from rnn_tui.tui.keys import bind, named

if TYPE_CHECKING:
    from rnn_tui.runs.listing import RunSummary
    from rnn_tui.tui.app import RnnTuiApp


_LIVING = ("starting", "running", "paused", "stopping", "stalled")
"""States in which a worker can be told something."""


class RunKeys(Vertical):
    """Holds the table of runs and what is beside it. `run` is the run that keys act on; `Changed` follows a change.

    Files are written in threads, so that a slow disk holds up no key.
    """

    BINDINGS: ClassVar[list[BindingType]] = named(
        "runs",
        [
            bind("p", "prompt", "Prompt", "Prompt this run's model", footer=True),
            bind("i", "inspect", "Inspect", "See what the units of this run's model do with a text"),
            bind("r", "resume_run", "Resume", "Go on training: after a pause, or from the newest checkpoint"),
            bind("n", "clone", "Clone", "Fill in the form for a new run with this run's settings"),
            bind(
                "d,delete", "delete", "Delete", "Move this run into the trash; u brings it back", footer=True
            ),
            bind("z", "send('pause')", "Pause", "Pause training"),
            bind("s", "stop", "Stop", "Stop training; a checkpoint is written first"),
            bind("c", "send('checkpoint')", "Checkpoint", "Write a checkpoint now"),
            bind("l", "rate", "Rate", "Change the learning rate"),
            bind("t", "tags", "Tags", "Change the tags of this run"),
            bind("a", "note", "Note", "Write a note on this run"),
            bind("f2", "rename", "Rename", "Give this run another name"),
            bind("v", "view", "View", "Look through this run's settings and checkpoints"),
            bind("e", "evaluate", "Evaluate", "See how well the model predicts its validation split"),
            bind("E", "export", "Export", "Copy the model file of this run to another place"),
            bind("Y", "copy_path", "Copy path", "Copy the path of this run's folder to the clipboard"),
            bind("exclamation_mark", "folder", "Shell", "Open a shell in this run's folder", shown_as="!"),
            bind("T", "trash", "Trash", "See the deleted runs; bring one back, or delete all for good"),
        ],
    )

    class Changed(Message):
        """The folder of runs is not what it was."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.run: RunSummary | None = None

    @property
    def shell(self) -> "RnnTuiApp":
        """The app, with its real type."""
        return cast("RnnTuiApp", self.app)

    @work(thread=True, group="store")
    def _do(self, action: Callable[[], Any], then: Callable[[Any], object] | None = None) -> None:
        """Call `action` in a thread, and with what it returns `then`; say what went wrong."""
        try:
            result = action()
        except RnnTuiError as error:
            self.app.call_from_thread(self.shell.fail, error)
        else:
            if then is not None:
                self.app.call_from_thread(then, result)
        self.post_message(self.Changed())

    async def _ask(self, question: str, value: str, check: Callable[[str], object]) -> str | None:
        """Return what a user types, once `check` raises nothing about it; None where he leaves."""

        def wrong(text: str) -> str:
            try:
                check(text)
            except UsageError as error:
                return str(error)
            except ValueError:
                return f"{text!r} is not a number"
            return ""

        return await self.app.push_screen_wait(Ask(question, value, wrong))

    # -- elsewhere ------------------------------------------------------------------------------------------------

    def action_prompt(self) -> None:
        if self.run:
            self.shell.open_prompt(self.run.name)

    def action_inspect(self) -> None:
        if self.run:
            self.shell.open_inspect(self.run.name)

    def action_clone(self) -> None:
        if not self.run:
            return
        try:
            config = RunFolder(self.run.path).read_config()
        except RnnTuiError as error:
            self.shell.fail(error)
            return
        self.shell.new_run(
            {key: value for key, value in config.items() if key != "about" and isinstance(value, dict)}
        )

    # -- training -------------------------------------------------------------------------------------------------

    def action_resume_run(self) -> None:
        from rnn_tui.runs.supervisor import resume_run

        if self.run is None:
            return
        run = self.run

        def go_on() -> None:
            from rnn_tui.training.plugins import look_for_plugins

            look_for_plugins(RunFolder(run.path))
            resume_run(RunFolder(run.path))

        if run.state == "paused":
            self.action_send("resume")
        elif run.state == "damaged":  # the worker would find that, too, and say it in its log
            self.shell.fail(run.message)
        else:
            self._do(go_on, lambda _: self.shell.open_run(run.name))

    def action_send(self, command: str) -> None:
        """Ask the worker for something; its answer shows in the state of the run."""
        if self.run:
            self._send(RunFolder(self.run.path), command)

    def _send(self, run: RunFolder, command: str, args: dict[str, float] | None = None) -> None:
        from rnn_tui.runs.control import send

        self._do(
            lambda: send(run, command, args, origin="app"),
            lambda _: self.shell.tell(f"{run.name} was asked to {command}"),
        )

    def _trains(self) -> bool:
        """Whether a worker is at this run; says so where there is none."""
        if self.run is None:
            return False
        if self.run.state not in _LIVING:
            self.shell.tell(f"{self.run.name} is not training now: it is {self.run.state}")
            return False
        return True

    @work(group="dialog")
    async def action_stop(self) -> None:
        if self.run is None or not self._trains():
            return
        run = RunFolder(self.run.path)
        question = Confirm(f"Stop {run.name}?", "A checkpoint is written first; r resumes the run later.")
        if await self.app.push_screen_wait(question) == "yes":
            self._send(run, "stop")

    @work(group="dialog")
    async def action_rate(self) -> None:
        from rnn_tui.runs.control import check_command

        if self.run is None or not self._trains():
            return
        run = RunFolder(self.run.path)
        answer = await self._ask(
            f"Learning rate of {run.name}", "", lambda text: check_command("set", {"lr": float(text)})
        )
        if answer is not None:
            self._send(run, "set", {"lr": float(answer)})

    # -- what is said of it, and where it lies ------------------------------------------------------------------------

    @work(group="dialog")
    async def action_tags(self) -> None:
        from rnn_tui.runs.labels import check_tags, set_labels

        if self.run is None:
            return
        run = RunFolder(self.run.path)
        question = f"Tags of {run.name}, with spaces between them"
        answer = await self._ask(question, " ".join(self.run.tags), lambda text: check_tags(text.split()))
        if answer is not None:
            self._do(lambda: set_labels(run, tags=answer.split()))

    @work(group="dialog")
    async def action_note(self) -> None:
        from rnn_tui.runs.labels import check_note, set_labels

        if self.run is None:
            return
        run = RunFolder(self.run.path)
        answer = await self._ask(f"Note on {run.name}", self.run.note, check_note)
        if answer is not None:
            self._do(lambda: set_labels(run, note=answer))

    @work(group="dialog")
    async def action_rename(self) -> None:
        from rnn_tui.runs.folder import check_name, rename_run

        if self.run is None:
            return
        run = RunFolder(self.run.path)
        answer = await self._ask(f"New name of {run.name}", run.name, check_name)
        if answer is not None and answer != run.name:
            self._do(lambda: rename_run(run, answer))

    @work(group="dialog")
    async def action_export(self) -> None:
        from rnn_tui.runs.folder import export_model

        if self.run is None:
            return
        run = RunFolder(self.run.path)
        answer = await self._ask(f"Copy the model of {run.name} to", f"{run.name}.safetensors", str)
        if answer:
            path = Path(os.path.expanduser(answer.strip()))
            self._do(
                lambda: export_model(run, path),
                lambda done: self.shell.tell(f"The model was copied to {done}"),
            )

    def action_copy_path(self) -> None:
        if self.run:
            self.app.copy_to_clipboard(str(self.run.path))

    @work(group="dialog")
    async def action_folder(self) -> None:
        """Leave the screen to a shell in the folder; over SSH and in tmux, that is what opens one.

        It asks first: what is typed next, or was pasted by a terminal that does not say so, goes to the shell.
        """
        if self.run is None:
            return
        path = self.run.path
        question = Confirm(
            "Open a shell in this run's folder?", "The app sleeps until you leave it with exit."
        )
        if await self.app.push_screen_wait(question) != "yes":
            return
        try:
            with self.app.suspend():
                print(safe_text(f"a shell in {path}; exit brings you back to rnn-tui"), flush=True)
                subprocess.run([os.environ.get("SHELL") or "/bin/sh"], cwd=path, check=False)
        except SuspendNotSupported:
            self.shell.fail(f"this terminal cannot be left to a shell; the folder is {path}")
        except OSError as error:
            self.shell.fail(f"no shell could be started in {path}: {error.strerror}")
        self.app.refresh(layout=True)
        self.post_message(self.Changed())

    # -- looking at it --------------------------------------------------------------------------------------------

    def action_view(self) -> None:
        from rnn_tui.tui.panes.runs_dialogs import View

        if self.run:
            self.app.push_screen(View(self.run))

    def action_evaluate(self) -> None:
        from rnn_tui.tui.panes.runs_dialogs import Evaluation

        if self.run:
            self.app.push_screen(Evaluation(self.run))

    # -- deleting -------------------------------------------------------------------------------------------------

    def action_delete(self) -> None:
        from rnn_tui.runs.trash import discard

        if self.run:
            run = RunFolder(self.run.path)
            self._do(
                lambda: discard(run),
                lambda place: self.shell.offer_undo(
                    f"{run.name} is in the trash", lambda: self._restore(place)
                ),
            )

    def _restore(self, place: Path) -> None:
        from rnn_tui.runs.trash import restore

        self._do(lambda: restore(place), lambda run: self.shell.tell(f"{run.name} is back"))

    @work(group="dialog")
    async def action_trash(self) -> None:
        from rnn_tui.runs.trash import empty, find_trashed
        from rnn_tui.tui.panes.runs_dialogs import Trash

        where = self.shell.runs_dir
        answer = await self.app.push_screen_wait(Trash(where))
        if answer == Trash.EMPTY:
            question = Confirm("Delete everything in the trash?", "It is gone for good then.")
            if await self.app.push_screen_wait(question) == "yes":
                self._do(
                    lambda: empty(where),
                    lambda gone: self.shell.tell(f"{len(gone)} runs are deleted for good"),
                )
        elif answer is not None:
            self._do(
                lambda: find_trashed(where, answer).path,
                self._restore,
            )
