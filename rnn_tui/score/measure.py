"""The measurement: asks a child process for every architecture and task, and gathers what comes back.

Free of torch; no plugin is imported here.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from platform import python_version
from typing import Any

import msgspec

from rnn_tui import __version__
from rnn_tui.errors import PluginError, UsageError, nearest
from rnn_tui.plugin.describe import describe_found
from rnn_tui.plugin.options import check_items
from rnn_tui.plugin.registry import PluginInfo, find_plugin
from rnn_tui.plugin.source import source_hash
from rnn_tui.score import cache
from rnn_tui.score.card import Card, Contender, Plan, rows_of, solved_of
from rnn_tui.score.estimate import roughly, seconds
from rnn_tui.score.process import START, Child, child_process
from rnn_tui.score.summary import summarise
from rnn_tui.score.wire import (
    Ended,
    Failed,
    Job,
    Progress,
    Rate,
    Ready,
    Subject,
    Timed,
    Trained,
    Training,
)

SPEED = "speed"

Told = Callable[[str, int, int], object]
"""Told what is being done, and of how many parts in a thousand how many are over."""
Said = Callable[[str], object]
"""Given a line to be read."""


@dataclass(frozen=True)
class _Candidate:
    info: PluginInfo
    subject: Subject
    scored: bool
    source: str | None


class Score:
    """One scorecard: `run` it, and ask for the `card` at its end or when it was interrupted."""

    def __init__(self, plan: Plan) -> None:
        """Look at the architectures, by a process that may break.

        Raises:
            UsageError: when one in `plan.names` is not installed, or has no such options.
            PluginError: when one of them cannot be used.
        """
        self.plan = plan
        self.notes: list[str] = []
        self._candidates: list[_Candidate] = []
        for name in plan.names:
            self._add(_candidate(name, plan.options, scored=True))
        for name in plan.beside:
            try:
                self._add(_candidate(name, {}, scored=False))
            except (UsageError, PluginError) as error:
                self.notes.append(f"{name} is left out: {error}")
        self._trainings: list[Training] = []
        self._problems: dict[tuple[str, str], str] = {}
        self._rates: tuple[Rate, ...] = ()
        self._ready: Ready | None = None
        self._begin = time.monotonic()
        self._complete = False

    def run(
        self,
        told: Told = lambda what, done, total: None,
        *,
        announced: Said = lambda line: None,
        finished: Said = lambda line: None,
    ) -> None:
        """Train and measure everything.

        Args:
            announced: given how long it will take, once that is known.
            finished: given a line for each architecture and group of tasks that is done.

        Raises:
            UsageError: when one of `plan.tasks` does not exist.
            PluginError: when an architecture that is scored breaks its contract on a tiny batch, or the child ends.
        """
        with child_process() as child:
            told("starting", 0, 1000)
            message = child.hear(START)
            assert isinstance(message, Ready)
            self._ready = message
            wrong = next((each for each in self.plan.tasks if each not in (*self._groups(), SPEED)), None)
            if wrong is not None:
                known = [*self._groups(), SPEED]
                if wrong in self._ready.tasks:
                    raise UsageError(f"--quick leaves {wrong} out; score it without")
                raise UsageError(f"there is no task {wrong!r} ({', '.join(known)}){nearest(wrong, known)}")
            self._try(child)
            wanted = self._jobs()
            jobs = [job for job in wanted if not self._known(job)]
            announced(self._announcement(jobs, kept=len(wanted) - len(jobs)))
            self._learn(child, jobs, told, finished)
            self._race(child, told)
        self._complete = True

    def card(self) -> Card:
        """Return what is known so far."""
        groups = self._groups()
        order = {each.subject.name: place for place, each in enumerate(self._candidates)}
        trainings = sorted(
            self._trainings, key=lambda each: (order[each.architecture], groups.index(each.group))
        )
        rows = rows_of(trainings, groups)
        card = Card(
            machine=self._ready.machine if self._ready else "",
            versions={
                "rnn-tui": __version__,
                "torch": self._ready.torch if self._ready else "",
                "python": python_version(),
            },
            plan=self.plan,
            seconds=time.monotonic() - self._begin,
            complete=self._complete,
            notes=tuple(self.notes),
            contenders=tuple(self._contender(each, trainings) for each in self._candidates),
            rows=rows,
            solved=solved_of(rows),
            rates=self._rates,
            trainings=tuple(trainings),
        )
        return replace(card, summary=summarise(card))

    def _add(self, candidate: _Candidate) -> None:
        if all(each.subject.name != candidate.subject.name for each in self._candidates):
            self._candidates.append(candidate)

    # -- measuring ----------------------------------------------------------------------------------------------

    def _groups(self) -> list[str]:
        """The groups of tasks of this plan, in order."""
        tasks = self._ready.tasks if self._ready else {}
        return [name.removeprefix("quick ") for name in tasks if name.startswith("quick ") == self.plan.quick]

    def _job(self, what: str, *subjects: Subject) -> Job:
        plan = self.plan
        return Job(
            what=what,
            subjects=subjects,
            quick=plan.quick,
            seeds=plan.seeds,
            parameters=plan.parameters,
            limit=plan.limit,
        )

    def _jobs(self) -> list[Job]:
        """Every group of tasks with every architecture, those that take longest first."""
        return [
            self._job(group, each.subject)
            for group in self._groups()
            if group in (self.plan.tasks or self._groups())
            for each in self._candidates
        ]

    def _try(self, child: Child) -> None:
        """Ask whether those that are scored keep their contract at all."""
        trials = [self._job("trial", each.subject) for each in self._candidates if each.scored]
        for message in child.ask(trials):
            if isinstance(message, Failed):
                name = trials[message.job].subjects[0].name
                owner = str(self._by_name(name).info)
                told = message.problem if message.problem.startswith(owner) else f"{owner}: {message.problem}"
                raise PluginError(f"{told}; rnn-tui plugins check {name} says more")

    def _announcement(self, jobs: Sequence[Job], *, kept: int) -> str:
        assert self._ready
        racing = len(self._candidates) if SPEED in (self.plan.tasks or [SPEED]) else 0
        cores = self._ready.cores
        takes = roughly(seconds(jobs, cores, racing, quick=self.plan.quick))
        line = f"about {takes} on a quiet machine of {cores} core{'s' * (cores != 1)}"
        if kept:
            return f"{line}; {kept} of {kept + len(jobs)} parts are kept from an earlier card"
        beside = any(not self._by_name(job.subjects[0].name).scored for job in jobs)
        return f"{line}; what those beside learn is kept for the next card" if beside else line

    def _known(self, job: Job) -> bool:
        """Take over what is kept of a job, where it is of an architecture beside."""
        place = self._place(job)
        if place is None or self._by_name(job.subjects[0].name).scored:
            return False
        kept = cache.read(place)
        self._trainings += kept or []
        return kept is not None

    def _place(self, job: Job) -> Path | None:
        """Where the trainings of a job are kept; None where it cannot be told what they depend on."""
        assert self._ready
        each = self._by_name(job.subjects[0].name)
        if each.source is None:
            return None
        about = {
            "plugin": [each.info.full_name, each.info.target, each.info.version, each.source],
            "job": msgspec.to_builtins(job),
            "tasks": self._ready.tasks["quick " * job.quick + job.what],
            "torch": self._ready.torch,
            "python": python_version(),
            "machine": self._ready.machine,
        }
        return cache.place(about)

    def _by_name(self, name: str) -> _Candidate:
        return next(each for each in self._candidates if each.subject.name == name)

    def _learn(self, child: Child, jobs: Sequence[Job], told: Told, finished: Said) -> None:
        shares = [0.0] * len(jobs)
        came: list[list[Training]] = [[] for _ in jobs]
        over = 0
        for message in child.ask(jobs):
            match message:
                case Progress(job, share):
                    shares[job] = share
                case Trained(job, training):
                    came[job].append(training)
                    self._trainings.append(training)
                case Failed(job, problem):
                    self._problems[jobs[job].subjects[0].name, jobs[job].what] = problem
                case Ended(job):
                    shares[job] = 1.0
                    over += 1
                    name, what = jobs[job].subjects[0].name, jobs[job].what
                    place, went_wrong = self._place(jobs[job]), self._problems.get((name, what))
                    if place and went_wrong is None:
                        cache.write(place, came[job])
                    took = f"{sum(each.seconds for each in came[job]):.0f} s of training"
                    finished(f"{over} of {len(jobs)}: {name}, {what}: {went_wrong or took}")
            running = [jobs[i] for i, share in enumerate(shares) if 0 < share < 1]
            doing = ", ".join(f"{job.subjects[0].name} {job.what}" for job in running)
            told(doing or "training", round(900 * sum(shares) / len(jobs)), 1000)

    def _race(self, child: Child, told: Told) -> None:
        """Time those that learnt anything, side by side, with nothing else going on."""
        if SPEED not in (self.plan.tasks or [SPEED]):
            return
        able = {each.architecture for each in self._trainings if each.updates}
        learnt = bool(self._jobs())
        runners = [each.subject for each in self._candidates if each.subject.name in able or not learnt]
        for message in child.ask([self._job(SPEED, *runners)] if runners else []):
            match message:
                case Progress(_, share):
                    told("timing", 900 + round(100 * share), 1000)
                case Timed(_, rates):
                    self._rates = rates
                case Failed(_, problem):
                    self.notes.append(f"speeds were not measured: {problem}")

    # -- reporting ----------------------------------------------------------------------------------------------

    def _contender(self, each: _Candidate, trainings: Sequence[Training]) -> Contender:
        own = [training for training in trainings if training.architecture == each.subject.name]
        problems = {
            what: problem for (name, what), problem in self._problems.items() if name == each.subject.name
        }
        for training in own:
            if training.problem:
                problems.setdefault(training.group, training.problem)
        return Contender(
            name=each.subject.name,
            role="scored" if each.scored else "beside",
            package=each.info.distribution,
            version=each.info.version,
            source=each.source,
            options=each.subject.options,
            sizes={training.group: (training.hidden_size, training.parameters) for training in own},
            engine=own[0].engine if own else "",
            engine_reason=own[0].engine_reason if own else "",
            problems=problems,
        )


def _candidate(name: str, options: dict[str, Any], *, scored: bool) -> _Candidate:
    info = find_plugin("architecture", name)
    description = describe_found(info)
    if description.error is not None:
        raise PluginError(f"{info}: {description.error}")
    checked = check_items(description.options, options, owner=f"architecture {name}")
    return _Candidate(info, Subject(info.name, checked), scored, source_hash(info) or None)
