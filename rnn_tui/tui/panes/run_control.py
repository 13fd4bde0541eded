"""What the monitor does to a run: requests to its worker, ways to start one, a copy of its model. All that may wait for
a disk is done in threads."""

import asyncio
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rnn_tui.errors import RnnTuiError
from rnn_tui.runs.layout import RunFolder
from rnn_tui.safetext import safe_text
from rnn_tui.tui.curves import MOST_LAID_OVER
from rnn_tui.tui.dialogs import Ask, Confirm
from rnn_tui.tui.panes.monitor import Monitor
from rnn_tui.tui.panes.train_dialogs import ChooseRuns, Resume, ResumeDialog, done_so_far

if TYPE_CHECKING:
    from rnn_tui.tui.app import RnnTuiApp
    from rnn_tui.tui.panes.base import Pane

WARNING_SECONDS = 15.0
"""How long a warning about the place of runs stays; two sentences."""


class RunControl:
    """Acts on the run in view of one pane."""

    def __init__(self, pane: "Pane") -> None:
        self._pane = pane
        self._in_turn = asyncio.Lock()
        """Requests arrive in the order in which keys were pressed."""

    @property
    def _shell(self) -> "RnnTuiApp":
        return self._pane.shell

    @property
    def _monitor(self) -> Monitor:
        return self._pane.query_one(Monitor)

    @property
    def _run(self) -> RunFolder | None:
        return self._monitor.run_folder

    def send(self, command: str, args: Mapping[str, float] | None = None) -> None:
        """Send a command to the worker; its answer appears among the notes."""
        if self._run is not None:
            self._pane.run_worker(self._send(self._run, command, args), group="send")

    async def _send(self, run: RunFolder, command: str, args: Mapping[str, float] | None) -> None:
        from rnn_tui.runs.control import send

        async with self._in_turn:
            try:
                await asyncio.to_thread(send, run, command, args, origin="app")
            except RnnTuiError as error:
                self._shell.fail(error)

    async def stop(self) -> None:
        """Ask, and stop the run."""
        if self._run is None:
            return
        question = Confirm(
            f"Stop {self._run.name}?", "A checkpoint is written first; r resumes the run later."
        )
        if await self._shell.push_screen_wait(question) == "yes":
            self.send("stop")

    async def rate(self) -> None:
        """Ask for a learning rate, and set it."""
        now = self._monitor.history.tracks["lr"].last
        shown = f"{now:.3g}" if now and math.isfinite(now) else ""
        answer = await self._shell.push_screen_wait(Ask("Learning rate", shown, check_rate))
        if answer is not None:
            self.send("set", {"lr": float(answer)})

    # -- starting -------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Go on from the newest checkpoint."""
        run = self._run
        if run is not None:
            self._pane.run_worker(lambda: self._resume_now(run), thread=True, group="start")

    def _resume_now(self, run: RunFolder) -> None:
        if wrong := self._resume(run, Resume({}, accept_data=False)):
            self._shell.call_from_thread(self._shell.fail, wrong)

    async def resume_with(self) -> None:
        """Ask for another budget, and go on with it."""
        run = self._run
        if run is not None:
            done = done_so_far(self._monitor.history)
            dialog = ResumeDialog(run.name, done, lambda wish: self._resume(run, wish))
            await self._shell.push_screen_wait(dialog)

    def _resume(self, run: RunFolder, wish: Resume) -> str:
        """Start the worker; return what hindered it. Runs in a thread."""
        from rnn_tui.runs.supervisor import start_worker
        from rnn_tui.training.plugins import look_for_plugins
        from rnn_tui.training.stored import extend

        try:
            look_for_plugins(run)
            if wish.budget:
                extend(run, wish.budget)
            start_worker(run, resume=True, accept_data=wish.accept_data)
        except RnnTuiError as error:
            return str(error)
        self.warn(run.path.parent)
        return ""

    def warn(self, runs_dir: Path) -> None:
        """Tell what about the place and the system may harm a run that was just started. Runs in a thread."""
        from rnn_tui.runs.surroundings import warnings

        for text in warnings(runs_dir):
            self._shell.call_from_thread(
                self._shell.notify,
                safe_text(text, limit=500),
                severity="warning",
                timeout=WARNING_SECONDS,
                markup=False,
            )

    # -- its model and others -------------------------------------------------------------------------------------

    async def export(self) -> None:
        """Ask where to, and copy the model of the run."""
        run = self._run
        if run is None:
            return
        question = Ask("Copy the best model to the file or folder", f"{run.name}.safetensors", check_path)
        answer = await self._shell.push_screen_wait(question)
        if answer is not None:
            target = Path(os.path.expanduser(answer.strip()))
            self._pane.run_worker(lambda: self._export(run, target), thread=True, group="export")

    def _export(self, run: RunFolder, target: Path) -> None:
        from rnn_tui.runs.folder import export_model

        try:
            path = export_model(run, target)
        except RnnTuiError as error:
            self._shell.call_from_thread(self._shell.fail, error)
        else:
            self._shell.call_from_thread(self._shell.tell, f"The model is in {path}.")

    async def lay_over(self) -> None:
        """Ask which other runs are shown in the chart, and show them."""
        from rnn_tui.runs.listing import list_runs

        try:
            found = await asyncio.to_thread(list_runs, self._shell.runs_dir)
        except RnnTuiError as error:
            self._shell.fail(error)
            return
        here = self._run.name if self._run else ""
        others = {run.name: run for run in found if run.name != here and run.step > 0}
        if not others:
            self._shell.tell("There is no other run to lay over this one yet.")
            return
        chosen = [path.name for path in self._monitor.others.paths]
        rows = {name: f"{run.arch}, {Path(run.corpus).name}, {run.state}" for name, run in others.items()}
        dialog = ChooseRuns("Lay over this run", rows, chosen, MOST_LAID_OVER)
        answer = await self._shell.push_screen_wait(dialog)
        if answer is not None:
            self._monitor.lay_over(others[name].path for name in answer)


def check_rate(text: str) -> str:
    """Say what is wrong with a learning rate, or nothing."""
    from rnn_tui.errors import UsageError
    from rnn_tui.runs.control import check_command

    try:
        check_command("set", {"lr": float(text)})
    except ValueError:
        return f"{text!r} is not a number"
    except UsageError as error:
        return str(error)
    return ""


def check_path(text: str) -> str:
    """Say what is wrong with a path to write to, or nothing."""
    return "" if text.strip() else "give a path"
