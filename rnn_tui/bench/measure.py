"""The measurement: every variant of a size side by side, turn after turn."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch

from rnn_tui.bench import baseline
from rnn_tui.bench.baseline import KINDS, Form, Kind, TorchModel, Tutorial
from rnn_tui.bench.machine import describe, large_products, streaming
from rnn_tui.bench.report import MEMORY, PRODUCTS, WEIGHTS, Group, Plan, Report, Row, What
from rnn_tui.bench.subjects import Sampling, Training, baseline_weights, build_subject, symbols
from rnn_tui.bench.timing import Spread, Timings, Variant, interleave, reason
from rnn_tui.errors import UsageError
from rnn_tui.model.config import ONE_HOT_LIMIT, ModelConfig
from rnn_tui.model.device import best_threads, cpu_count, pick_device, sample_on_one_thread
from rnn_tui.plugin.describe import describe_plugins
from rnn_tui.plugin.registry import find_plugin
from rnn_tui.training.setup import keep_memory, seed_everything, warm_up_math

BUILDING = 2.0
"""Seconds to build, trace and compile a model of an architecture, about."""


class Told(Protocol):
    """Told what is being measured, and of how many turns how many are over."""

    def __call__(self, what: str, done: int, total: int, /) -> object: ...


def _quiet(*_: object) -> None:
    pass


@dataclass
class _Side:
    """One of those that are measured side by side.

    Attributes:
        row: what is known of it without measuring.
        weights: that a token is multiplied by.
        kind: the kind of module that it is, or is held against.
    """

    row: Row
    weights: int
    kind: Kind


@dataclass
class _Measured:
    """A group while it is measured."""

    what: What
    hidden_size: int
    threads: int = 0
    sides: dict[str, _Side] = field(default_factory=dict)
    timings: Timings = field(default_factory=Timings)


class Bench:
    """One measurement: `run` it, and ask for the `report` at its end or when it was interrupted."""

    def __init__(self, plan: Plan) -> None:
        """Look which architectures there are, by a process that may break.

        Raises:
            UsageError: when one that was asked for, any at all, the device or the engine is not here.
        """
        self.plan = plan
        self.device = pick_device(plan.device)
        if plan.engine == "graph" and self.device.type != "cuda":
            raise UsageError(f"engine graph exists on cuda only, not on {self.device.type}")
        for name in plan.architectures:
            find_plugin("architecture", name)
        found = [each for each in describe_plugins() if each.info.kind == "architecture"]
        asked = set(plan.architectures)
        wanted = [each for each in found if not asked or asked & {each.info.name, each.info.full_name}]
        if not wanted:
            raise UsageError(
                "no architecture is installed, or RNN_TUI_PLUGINS allows none; install rnn-tui again"
            )
        self.broken = {each.info.name: each.error for each in wanted if each.error is not None}
        self.names = [each.info.name for each in wanted if each.error is None]
        # one-hot vectors of a large vocabulary cost many times the rest
        small = plan.vocab_size <= ONE_HOT_LIMIT
        self.forms: tuple[Form, ...] = ("one-hot", "embedding") if small else ("embedding",)
        self._groups: list[_Measured] = []
        self._kinds = min(len(KINDS), len(self.names))  # of baselines; certain when the models are built
        self._done = 0
        self._begin = time.monotonic()
        self._complete = False

    @property
    def estimate(self) -> float:
        """About how many seconds it takes, where no step is longer than a turn."""
        plan = self.plan
        turns = sum(self._turn(what) for what in plan.what) * self._variants() * (1 + plan.repeats)
        return len(plan.hidden_sizes) * (turns + BUILDING * len(self.names) * len(plan.what))

    def run(self, told: Told = _quiet, say: Callable[[str], object] = _quiet) -> None:
        """Measure.

        Args:
            told: the progress, often.
            say: what is worth a line: the threads that were chosen.
        """
        keep_memory()
        warm_up_math()
        seed_everything(1)
        for hidden_size in self.plan.hidden_sizes:
            for what in self.plan.what:
                group = _Measured(what, hidden_size)
                self._groups.append(group)
                self._measure(group, told, say)
        self._complete = True

    def report(self) -> Report:
        """Return what is known so far."""
        return Report(
            machine=describe(self.device),
            plan=self.plan,
            seconds=time.monotonic() - self._begin,
            complete=self._complete,
            groups=tuple(self._reported(group) for group in self._groups),
            broken=self.broken,
        )

    # -- measuring ----------------------------------------------------------------------------------------------

    def _measure(self, group: _Measured, told: Told, say: Callable[[str], object]) -> None:
        plan = self.plan
        doing = "training" if group.what == "train" else "sampling"
        size = f"{plan.num_layers}x{group.hidden_size}"
        total = len(plan.hidden_sizes) * len(plan.what) * self._variants() * (1 + plan.repeats)
        subjects: dict[str, Training | Sampling] = {}
        for name in self.names:
            told(f"preparing {name} {size}", self._done, total)
            try:
                subjects[name] = self._prepare(group, name)
            except Exception as error:  # a plugin raises whatever it likes
                group.timings.errors[name] = reason(error)
        group.threads = group.threads or 1  # where no architecture got so far
        torch.set_num_threads(group.threads)
        say(f"{doing} at {size} on {group.threads} thread{'s' * (group.threads != 1)}")
        kinds = list(dict.fromkeys(side.kind for side in group.sides.values()))
        self._kinds = len(kinds)
        variants: dict[str, Variant] = {**subjects, **self._limits(group)}
        for kind in kinds:
            variants |= self._baselines(group, kind)

        def turn(name: str) -> None:
            told(f"{doing} {name} {size}", self._done, total)
            self._done += 1

        try:
            interleave(
                variants,
                plan.repeats,
                seconds=self._turn(group.what),
                threads=group.threads if self.device.type == "cpu" else 1,
                into=group.timings,
                told=turn,
            )
        finally:
            for name, subject in subjects.items():
                engine, why = subject.engine()  # a CUDA graph may have been refused on the way
                side = group.sides[name]
                side.row = replace(side.row, engine=engine, engine_reason=why)

    def _turn(self, what: What) -> float:
        return self.plan.seconds / (1 if what == "train" else 2)

    def _variants(self) -> int:
        """How many are measured side by side: architectures, baselines and limits."""
        return len(self.names) + self._kinds * (1 + len(self.forms)) + 2

    def _prepare(self, group: _Measured, name: str) -> Training | Sampling:
        """Build the model of an architecture, and take the way over time and the threads that it is measured on."""
        plan, cpu = self.plan, self.device.type == "cpu"
        torch.set_num_threads(1)  # tracing is many small products
        config = ModelConfig(arch=name, hidden_size=group.hidden_size, num_layers=plan.num_layers)
        built = build_subject(config, plan.vocab_size, self.device)
        count, taught = built.model.parameter_count(), _tutorial(built.kind)
        row = Row(name=name, role="architecture", parameters=count, tutorial=taught)
        subject: Training | Sampling
        if group.what == "sample":
            subject = Sampling(built.model, symbols(plan.vocab_size), traced=plan.engine != "loop")
            sample_on_one_thread()
            group.threads = plan.threads or torch.get_num_threads()
        else:
            subject = Training(built.model, self._windows())
            subject.take("compiled" if cpu and plan.engine == "auto" else plan.engine)
            if not group.threads:  # the first that takes a step chooses for all
                group.threads = plan.threads or (
                    best_threads(subject)[0] if cpu else max(1, cpu_count() // 2)
                )
            torch.set_num_threads(group.threads)
            if cpu and plan.engine == "auto":
                subject.take("auto")
        group.sides[name] = _Side(row, built.weights, built.kind)
        return subject

    def _baselines(self, group: _Measured, kind: Kind) -> dict[str, Variant]:
        """torch's module of this kind in each form, and the tutorials' loop."""
        plan, train = self.plan, group.what == "train"
        sizes = (plan.vocab_size, group.hidden_size, plan.num_layers)
        variants: dict[str, Variant] = {}

        def add(name: str, row: Row, form: Form, variant: Variant) -> None:
            group.sides[name] = _Side(row, baseline_weights(kind, form, *sizes), kind)
            variants[name] = variant

        for form in self.forms:
            model = TorchModel(kind, form, *sizes).to(self.device)
            name = _torch(kind, form)
            run = (
                baseline.torch_updates(model, self._windows())
                if train
                else baseline.draws(model, autograd=False)
            )
            add(name, Row(name=name, role="nn", parameters=_count(model)), form, run)
        taught, name = Tutorial(kind, *sizes).to(self.device), _tutorial(kind)
        run = baseline.tutorial_updates(taught, self._windows()) if train else baseline.draws(taught)
        add(name, Row(name=name, role="tutorial", parameters=_count(taught)), "one-hot", run)
        return variants

    def _limits(self, group: _Measured) -> dict[str, Variant]:
        limits = {MEMORY: streaming(self.device)}
        if group.what == "train":
            limits[PRODUCTS] = large_products(self.device)
        elif group.sides:
            largest = max(side.weights for side in group.sides.values())
            limits[WEIGHTS] = streaming(self.device, 4 * largest)
        return limits

    def _windows(self) -> torch.Tensor:
        plan = self.plan
        return torch.randint(plan.vocab_size, (plan.batch_size, plan.seq_len + 1), device=self.device)

    # -- reporting ----------------------------------------------------------------------------------------------

    def _reported(self, group: _Measured) -> Group:
        rates = {name: group.timings.rate(name) for name in (PRODUCTS, MEMORY, WEIGHTS)}
        return Group(
            what=group.what,
            hidden_size=group.hidden_size,
            threads=group.threads,
            unit="GFLOP/s" if group.what == "train" else "GB/s",
            limits={name: rate for name, rate in rates.items() if rate},
            foreign=group.timings.foreign(),
            rows=tuple(self._rows(group, rates[PRODUCTS if group.what == "train" else WEIGHTS])),
        )

    def _rows(self, group: _Measured, limit: Spread | None) -> Iterator[Row]:
        """Architectures first, then what they are held against."""
        timings = group.timings
        for name in self.names:
            if name not in group.sides:
                yield Row(name=name, role="architecture", error=timings.errors.get(name, "not measured"))
        for name, side in group.sides.items():
            rate = timings.rate(name)
            row = replace(
                side.row,
                rate=rate,
                repeats=tuple(timings.repeats.get(name, [])),
                error=timings.errors.get(name, ""),
            )
            if rate:
                # 6 operations for each weight and token of training, 4 bytes for each of sampling
                achieved = (6e-9 if group.what == "train" else 4e-9) * side.weights * rate.median
                row = replace(row, achieved=achieved, of_limit=achieved / limit.most if limit else None)
            if side.row.role == "architecture":
                nn = self._best(timings, side.kind)
                row = replace(
                    row,
                    nn=nn,
                    nn_ratio=timings.ratio(name, nn),
                    tutorial_ratio=timings.ratio(name, side.row.tutorial),
                )
            yield row

    def _best(self, timings: Timings, kind: Kind) -> str:
        """Return the form of torch's module that was faster."""
        rates = {name: timings.rate(name) for name in (_torch(kind, form) for form in self.forms)}
        return max(rates, key=lambda name: rate.median if (rate := rates[name]) else 0.0)


def _count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _torch(kind: Kind, form: Form) -> str:
    return f"nn.{kind.upper()} {form}"


def _tutorial(kind: Kind) -> str:
    return f"tutorial {kind.upper()}"
