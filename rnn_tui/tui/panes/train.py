"""The Train pane: an invitation where there is nothing, a form to start a run, and the monitor of one."""

from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from rnn_tui.errors import RnnTuiError
from rnn_tui.tui.headline import RESUMABLE
from rnn_tui.tui.keys import bind
from rnn_tui.tui.panes.base import Pane
from rnn_tui.tui.panes.form_settings import Settings
from rnn_tui.tui.panes.monitor import Monitor
from rnn_tui.tui.panes.run_control import RunControl
from rnn_tui.tui.panes.run_log import RunLog
from rnn_tui.tui.panes.train_form import TrainForm
from rnn_tui.tui.widgets.chart import Chart

if TYPE_CHECKING:
    from rnn_tui.plugin.describe import PluginDescription

DEMO_PROMPT = "def "

_OF_THE_WORKER = ("pause", "go_on", "stop", "checkpoint", "rate")
_OF_THE_RUN = (*_OF_THE_WORKER, "resume_run", "resume_with", "forecast", "export")
_OF_THE_MONITOR = ("log_axis", "smooth", "prompt", "axis", "lay_over", "log", "browse", "inspect")
_SMOOTHINGS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99)


class TrainPane(Pane):
    """Start a run and watch it."""

    title = "Train"
    key = "2"

    SCOPED_CSS = False  # the classes for width and height are on the screen
    DEFAULT_CSS = """
    TrainPane #nothing { align: center middle; height: 1fr; }
    TrainPane #nothing Static { width: 66; max-width: 100%; height: auto; padding: 1 3; border: round $primary; }
    .-ascii TrainPane #nothing Static { border: ascii $primary; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bind("p", "pause", "Pause", "Pause training", footer=True),
        bind("p", "go_on", "Go on", "Go on training after a pause", footer=True),
        bind("s", "stop", "Stop", "Stop training; a checkpoint is written first", footer=True),
        bind("c", "checkpoint", "Checkpoint", "Write a checkpoint now"),
        bind("l", "rate", "Rate", "Change the learning rate", footer=True),
        bind("r", "resume_run", "Resume", "Go on training from the newest checkpoint", footer=True),
        bind("R", "resume_with", "Resume with", "Go on with a larger budget, or on a changed corpus"),
        bind("enter,w,P", "prompt", "Prompt", "Prompt this run's model", footer=True, shown_as="enter"),
        bind("i", "inspect", "Inspect", "Look at what the units of this run's model do"),
        bind("n", "new", "New run", "Fill in the form for a new run", footer=True),
        bind("d", "demo", "Demo", "Train on the built-in corpus for about a minute", footer=True),
        bind(
            "f", "forecast", "Forecast", "Go from the loss to the forecast of a series, or back", footer=True
        ),
        bind("k", "browse(-1)", "Samples before", "Show the samples of the step before"),
        bind("j", "browse(1)", "Samples after", "Show the samples of the step after"),
        bind("v", "log", "View log", "Read all notes of the run, and its worker.log"),
        bind("o", "lay_over", "Overlay", "Choose other runs to lay over the chart"),
        bind("e", "export", "Export", "Copy the best model to a file"),
        bind("t", "axis", "Axis", "Draw over steps, epochs, tokens or time"),
        bind("y", "log_axis('y')", "Log y", "Logarithmic loss axis, or linear again"),
        bind("x", "log_axis('x')", "Log x", "Logarithmic x axis, or linear again"),
        bind("right_square_bracket", "smooth(1)", "Smoother", "Smooth the training loss more", shown_as="]"),
        bind("left_square_bracket", "smooth(-1)", "Rougher", "Smooth the training loss less", shown_as="["),
        bind("ctrl+s", "start", "Start", "Start the run that the form describes", footer=True, priority=True),
        bind("escape", "back", "Back", "Leave an input; from the form back to the run"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._mode = "nothing"
        self._demo_run = ""
        self._control = RunControl(self)

    @classmethod
    def table(cls) -> list[Any]:
        return [*super().table(), *Chart.BINDINGS]

    def compose(self) -> ComposeResult:
        with Container(id="nothing"):
            yield Static(
                Content.assemble(
                    ("No runs yet\n\n", "bold"),
                    "Press ", ("d", "bold $accent"), " to train on the built-in corpus (about a minute)\n",
                    "Press ", ("n", "bold $accent"), " for the form to start a run of your own\n",
                    "Press ", ("1", "bold $accent"), " to look at a corpus first\n\n",
                    ("Training goes on when you leave the app.", "$foreground 60%"),
                )
            )  # fmt: skip
        yield Monitor(ascii=self.shell.ascii, smoothing=self.shell.preferences.smoothing)

    def on_mount(self) -> None:
        self._set_mode("nothing")
        self.monitor.smoothing = self.shell.preferences.smoothing
        if self.shell.demo:
            self.action_demo()
            return
        self._find_run(self._remembered())

    @property
    def monitor(self) -> Monitor:
        """The monitor of the run in view."""
        return self.query_one(Monitor)

    def _remembered(self) -> str:
        kept = self.shell.recall("run")
        here = str(self.shell.runs_dir.absolute())
        return str(kept.get("name", "")) if isinstance(kept, dict) and kept.get("dir") == here else ""

    @work(thread=True, exclusive=True, group="find")
    def _find_run(self, name: str) -> None:
        """Show the remembered run, else one that is training, else the newest."""
        from rnn_tui.runs.listing import list_runs

        try:
            found = list_runs(self.shell.runs_dir)
        except RnnTuiError as error:
            self.app.call_from_thread(self.shell.fail, error)
            return
        living = ("running", "paused", "starting", "stopping", "stalled")
        order = sorted(found, key=lambda run: (run.state not in living, run.name != name))
        if order and self._mode == "nothing" and not self._demo_run:
            self.app.call_from_thread(self.load, order[0].name)

    # -- what is shown --------------------------------------------------------------------------------------------

    def _set_mode(self, mode: str) -> None:
        self._mode = mode
        self.default_focus = "#loss, #forecast" if mode == "monitor" else ""
        self.query_one("#nothing").display = mode == "nothing"
        self.monitor.display = mode == "monitor"
        for form in self.query(TrainForm):
            form.display = mode == "form"
        self.refresh_bindings()

    def shown(self) -> None:
        super().shown()
        if self._mode == "nothing" and not self._demo_run:
            self._find_run(self._remembered())
        self.monitor.draw_soon()

    def described(self, descriptions: "list[PluginDescription]") -> None:
        if self._mode == "form":  # else the form asks when it is opened
            self.run_worker(self.query_one(TrainForm).described(descriptions), group="form")

    def load(self, run_name: str, **wishes: Any) -> None:
        """Watch a run."""
        from rnn_tui.runs.folder import find_run

        try:
            run = find_run(self.shell.runs_dir, run_name)
        except RnnTuiError as error:
            self.shell.fail(error)
            return
        self.shell.remember("run", {"dir": str(self.shell.runs_dir.absolute()), "name": run.name})
        self.monitor.follow(run)
        self._set_mode("monitor")
        if self.shell.current_pane == "train":
            self.query_one("#loss").focus(scroll_visible=False)

    def new_run(self, settings: Settings) -> None:
        self.open_form(settings)

    @work(exclusive=True, group="form")
    async def open_form(self, settings: Settings | None = None) -> None:
        """Show the form, with `settings` filled in."""
        new = not self.query(TrainForm)
        if new:
            await self.mount(TrainForm())
        form = self.query_one(TrainForm)
        self._set_mode("form")
        form.focus_first()
        if settings or new:
            await form.fill(settings or {})
        if self.shell.descriptions is not None:
            await form.described(self.shell.descriptions)

    def on_train_form_started(self, event: TrainForm.Started) -> None:
        if event.name:
            self.load(event.name)
            self.run_worker(lambda: self._control.warn(self.shell.runs_dir), thread=True, group="warn")
        else:
            self._leave_form()

    def _leave_form(self) -> None:
        self._set_mode("monitor" if self.monitor.run_folder is not None else "nothing")
        self.shown()
        self.focus(scroll_visible=False)

    def on_monitor_state_changed(self, event: Monitor.StateChanged) -> None:
        event.stop()
        self.refresh_bindings()
        if event.run.name == self._demo_run and event.state in ("finished", "stopped"):
            self._demo_run = ""
            self.shell.open_prompt(event.run.name, prompt=DEMO_PROMPT, go=True)

    # -- actions --------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        view = self.monitor.view
        if action in ("new", "back"):
            return True
        if action == "start":
            return self._mode == "form"
        if action == "demo":
            return self._mode == "nothing"
        if self._mode != "monitor":
            return action not in (*_OF_THE_RUN, *_OF_THE_MONITOR)
        if action in _OF_THE_WORKER:
            if view is None or not view.alive:
                return False
            return action not in ("pause", "go_on") or (action == "go_on") == (view.state == "paused")
        if action == "resume_run":
            return view is not None and view.state in RESUMABLE
        if action == "resume_with":
            return view is not None and not view.alive and view.state in (*RESUMABLE, "finished")
        if action == "forecast":
            return self.monitor.history.forecast is not None
        if action in ("inspect", "prompt"):
            return self.monitor.history.counted != "rows"
        return True

    def action_new(self) -> None:
        self.open_form()

    def action_back(self) -> None:
        if self._mode != "form":
            return
        focused = self.screen.focused
        if focused is not None and focused is not self:
            self.action_leave_input()
        else:
            self._leave_form()

    def action_start(self) -> None:
        self.query_one(TrainForm).start()

    def action_demo(self) -> None:
        """Start the demo recipe."""
        if self._demo_run:
            return
        self._demo_run = "…"
        self.query_one("#nothing Static", Static).update(Content("Preparing the built-in corpus"))
        self._start_demo()

    @work(thread=True, group="start")
    def _start_demo(self) -> None:
        from rnn_tui.recipes import load_recipe
        from rnn_tui.training import launch

        try:
            config = launch.prepare_run_config([load_recipe("demo").layer]).config
            run = launch.start(self.shell.runs_dir, None, config)
            self._control.warn(self.shell.runs_dir)
        except RnnTuiError as error:
            self.app.call_from_thread(self._demo_failed, str(error))
        else:
            self.app.call_from_thread(self._demo_started, run.name)

    def _demo_failed(self, message: str) -> None:
        self._demo_run = ""
        self.query_one("#nothing Static", Static).update(
            Content("The demo could not start; press d to try again")
        )
        self.shell.fail(message)

    def _demo_started(self, name: str) -> None:
        self._demo_run = name
        self.load(name)

    def action_pause(self) -> None:
        self._control.send("pause")

    def action_go_on(self) -> None:
        self._control.send("resume")

    def action_checkpoint(self) -> None:
        self._control.send("checkpoint")

    @work(group="dialog")
    async def action_stop(self) -> None:
        await self._control.stop()

    @work(group="dialog")
    async def action_rate(self) -> None:
        await self._control.rate()

    def action_resume_run(self) -> None:
        self._control.resume()

    @work(group="dialog")
    async def action_resume_with(self) -> None:
        await self._control.resume_with()

    @work(group="dialog")
    async def action_export(self) -> None:
        await self._control.export()

    @work(group="dialog")
    async def action_lay_over(self) -> None:
        await self._control.lay_over()

    def action_forecast(self) -> None:
        self.monitor.look_ahead()

    def action_axis(self) -> None:
        self.monitor.next_axis()

    def action_browse(self, direction: int) -> None:
        self.monitor.browse(direction)

    def action_log(self) -> None:
        run = self.monitor.run_folder
        if run is not None:
            self.app.push_screen(RunLog(run, lambda: self.monitor.history))

    def action_prompt(self) -> None:
        run = self.monitor.run_folder
        if run is not None:
            self.shell.open_prompt(run.name)

    def action_inspect(self) -> None:
        run = self.monitor.run_folder
        if run is not None:
            self.shell.open_inspect(run.name)

    def action_log_axis(self, axis: str) -> None:
        chart = self.query_one("#loss", Chart)
        if axis == "y":
            self.monitor.log_y = not chart.log_y
            chart.configure(log_y=self.monitor.log_y)
        else:
            chart.configure(log_x=not chart.log_x)

    def action_smooth(self, direction: int) -> None:
        now = self.monitor.smoothing
        place = min(range(len(_SMOOTHINGS)), key=lambda i: abs(_SMOOTHINGS[i] - now)) + direction
        self.monitor.smoothing = _SMOOTHINGS[min(max(place, 0), len(_SMOOTHINGS) - 1)]
        self.query_one("#loss", Chart).configure(smoothing=self.monitor.smoothing)
