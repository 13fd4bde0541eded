"""A run that is ended and changed in all the ways it may be asked to, at any moment, ends with the bits of one that had
the same changes of its rate and was left alone otherwise."""

import collections
import contextlib
import itertools
import random
import shutil
import signal
import time

import fault_runs as runs

from rnn_tui.errors import InputError
from rnn_tui.runs.control import send
from rnn_tui.runs.layout import RunFolder
from rnn_tui.runs.lock import held

WAYS = (
    "set",
    "SIGTERM",
    "pause",
    "SIGINT",
    "set and SIGKILL",
    "stop",
    "checkpoint",
    "pause and SIGTERM",
    "set and SIGTERM",
    "pause and SIGKILL",
)
"""What is done to a worker; of two things the second soon after the first."""

KINDS = ({}, {"model": {"arch": "nn-lstm", "hidden_size": 12, "num_layers": 2, "dropout": 0.2}})

ENDINGS = {"SIGTERM": (143, "preempted"), "SIGINT": (130, "preempted"), "stop": (0, "stopped")}
"""The exit code and the reason in the log; a run may also have been complete just before: 0, finished."""


def ask(run, command, args=None):
    """Send a command, unless the worker has just ended."""
    with contextlib.suppress(InputError):
        send(run, command, args)


def wait_until_paused(run, child):
    deadline = time.monotonic() + runs.TIMEOUT
    while not child.ended(0.005):
        states = [event.data["state"] for event in runs.events(run) if event.kind == "state"]
        if states[-1:] == ["paused"]:
            return
        assert time.monotonic() < deadline


def disturb(run, child, way, generator):
    """Do to a worker what `way` says; where it ends of that, wait for it and return what is wrong with its end."""
    first, _, second = way.partition(" and ")
    if first == "set":
        ask(run, "set", {"lr": generator.choice([1e-3, 3e-3, 2e-2])})
    elif first in ("pause", "checkpoint", "stop"):
        ask(run, first)
    else:
        child.signal(signal.Signals[first])
    if first == "pause":
        wait_until_paused(run, child)
        child.ended(generator.uniform(0.0, 0.05))
        if not second:
            ask(run, "resume")
    if second:
        child.ended(generator.uniform(0.0, 0.08))
        child.signal(signal.Signals[second])
    last = second or first
    if last == "SIGKILL":
        child.wait()
    elif last in ENDINGS:
        code, end = child.wait(), runs.events(run)[-1]
        if (code, end.data.get("reason")) not in (ENDINGS[last], (0, "finished")):
            return [f"{way}: it ended with {code}, {end.kind} {end.data}"]
    return []


def disturb_until_done(run, ways, generator, counts):
    """Work on `run` until it is complete, disturbed in one way after the other; return what is wrong."""
    found, child = [], None
    while True:
        if child is None:
            child = runs.server().fork("train", run)
            while not held(run) and not child.ended(0.002):
                pass
        if child.ended(generator.uniform(0.0, 0.2)):
            return found + ([f"exit code {code}"] if (code := child.wait()) else [])
        way = next(ways)
        counts[way] += 1
        found += disturb(run, child, way, generator)
        if child.code is not None:
            child = None
            if runs.complete(run):
                return found


def rates_set(run):
    """The learning rates that were set, each once, with their steps, as the log has them."""
    commands = {
        e.data["id"]: e for e in runs.events(run) if e.kind == "command" and e.data["command"] == "set"
    }
    return [(e.step, e.data["args"]["lr"]) for e in sorted(commands.values(), key=lambda e: e.step)]


def test_disturbed_in_every_way_it_ends_as_if_it_had_not_been(tmp_path, amount, seed, figures):
    text, generator, counts, rates = runs.write_text(tmp_path), random.Random(seed), collections.Counter(), 0
    ways = itertools.cycle(generator.sample(WAYS, len(WAYS)))
    wanted = amount(len(WAYS), 200)
    finished = 0
    while counts.total() < wanted:
        settings = KINDS[finished % 2]
        run = runs.small_run(tmp_path / "runs", f"disturbed-{finished}", text, **settings)
        found = disturb_until_done(run, ways, generator, counts)
        set_ = rates_set(run)
        whole = runs.undisturbed(tmp_path, f"whole-{finished}", text, rates=set_, **settings)
        found += runs.differences(run, whole) + runs.faults_of_log(run)
        ids = [e.data["id"] for e in runs.events(run) if e.kind == "command"]
        assert len(ids) == len(set(ids)), "a command was obeyed twice"
        assert not found, f"{counts}: {found}"
        finished, rates = finished + 1, rates + len(set_)
    assert rates
    assert min(counts[way] for way in WAYS) >= 1
    told = ", ".join(f"{count} {way}" for way, count in counts.items())
    figures(
        "preempted",
        f"0 of {finished} runs differ after {counts.total()} disturbances, {rates} rates set: {told}",
    )


def test_a_rate_that_is_lost_by_a_kill_is_found_out(tmp_path, figures):
    """It is in the log and in no checkpoint: whoever resumes has to set it again at its step."""
    text, rare = (
        runs.write_text(tmp_path),
        {"checkpoint": {"every_steps": 1000}, "watch": {"validate_every": 1000}},
    )
    killed = runs.small_run(tmp_path / "runs", "killed", text, **rare)
    child = runs.server().fork("train", killed)
    while not any(event.kind == "train" for event in runs.events(killed)):
        assert not child.ended(0.005)
    send(killed, "set", {"lr": 0.02})
    while not rates_set(killed):
        assert not child.ended(0.005)
    child.kill()
    whole = runs.undisturbed(tmp_path, "whole", text, rates=rates_set(killed), **rare)
    forgetful = RunFolder(shutil.copytree(killed.path, tmp_path / "runs" / "forgetful"))
    for run, broken, equal in ((killed, "", True), (forgetful, "journalled", False)):
        assert runs.server().fork("train", run, broken=broken).wait() == 0
        assert (runs.differences(run, whole) == []) == equal
    figures("preempted", "broken: a rate in the log is not set again after a kill; found")
