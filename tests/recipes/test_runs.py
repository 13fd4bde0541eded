"""Recipes run through the real command line: hello whole, the others shortened, no network."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnn_tui.corpus.sources import DOWNLOADS
from rnn_tui.recipes import load_recipe, recipe_names
from rnn_tui.runs.events import EventReader
from rnn_tui.runs.folder import RunFolder

WHOLE = ("hello-ohlol", "sine-gru")
STEPS = 15


def rnn_tui(folder, *arguments):
    """The JSON document of a command that must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "rnn_tui", *arguments, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def train(name, folder, *more):
    """Run a recipe; return what the command reported and the events."""
    told = rnn_tui(folder, "recipes", "run", name, "--foreground", "--threads", "1", *more)
    assert (told["run"], told["state"], told["exit_code"]) == (f"{name}-1", "finished", 0)
    return told, EventReader(RunFolder(Path(told["path"])).events_path).poll()


def shortened(name, folder):
    """Run a few steps of a recipe, on a built-in corpus, and check what it leaves."""
    config = load_recipe(name).settings
    flags = ["--steps", str(STEPS)]
    if config["corpus"]["source"] in DOWNLOADS:
        flags += ["--corpus", "fables-en"]
    told, events = train(name, folder, *flags)
    assert told["steps"] == STEPS
    kinds = [event.kind for event in events]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    losses = [event.data["loss"] for event in events if event.kind == "train"]
    assert losses
    assert all(map(math.isfinite, losses))
    samples = {(e.data["prompt"], e.data["temperature"]) for e in events if e.kind == "sample"}
    watch = config["watch"]
    assert samples == {
        (prompt, temperature)
        for prompt in watch.get("sample_prompts", [""])
        for temperature in watch.get("sample_temperatures", [0.8])
    }
    held_out = config["corpus"]["validation"] > 0
    assert (told["validation_loss"] is not None) == held_out
    report = rnn_tui(folder, "eval", told["run"], "--split", "validation" if held_out else "train")
    assert report["step"] == STEPS or held_out
    assert math.isfinite(report["loss"])
    return told, report


def test_hello_becomes_ohlol(tmp_path):
    told, events = train("hello-ohlol", tmp_path)
    assert (told["steps"], told["epochs"]) == (15, 15)
    guesses = [event for event in events if event.kind == "transcription"]
    assert [event.step for event in guesses] == list(range(1, 16))  # one each epoch
    assert {event.data["source"] for event in guesses} == {"hello"}
    assert guesses[0].data["text"] != "ohlol"
    assert guesses[-1].data["text"] == "ohlol"
    report = rnn_tui(tmp_path, "eval", told["run"], "--split", "train")
    assert (report["accuracy"], report["exact"], report["labels"]) == (1, 1, 5)


def test_shortened_recipe(tmp_path):
    shortened("timemachine-gru-nn", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in recipe_names() if name not in WHOLE])
def test_every_recipe_shortened(name, tmp_path):
    shortened(name, tmp_path)


@pytest.mark.slow
def test_sine_comes_near_its_noise(tmp_path):
    told, events = train("sine-gru", tmp_path)
    shown = [event.data for event in events if event.kind == "forecast"][-1]
    assert list(shown["forecasts"]) == ["1", "4", "16", "64"]
    report = rnn_tui(tmp_path, "eval", told["run"])
    one = report["horizons"][0]
    assert (one["horizon"], one["rows"], report["rows"]) == (1, 400, 400)
    # the noise of the series is N(0, 0.2): no forecast is better than 0.04, and the row before is twice as bad
    assert 0.04 < one["mse"] < 0.05 < one["persistence"]
