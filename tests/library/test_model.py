"""A model in a program: what it says is what the commands say."""

import dataclasses
import inspect
import itertools
import json
import math
import threading

import numpy as np
import pytest
import torch

import rnn_tui
from rnn_tui.cli.root import run as command
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.library.reading import Sampling


def said(capsys, *arguments):
    """The JSON document that a command writes."""
    assert command([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def comparable(report):
    """A report without what the clock makes of it."""
    return {key: value for key, value in report.items() if key not in ("seconds", "tokens_per_second")}


# -- text -------------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_text_of_the_command(model, capsys):
    settings = {"length": 60, "temperature": 1.2, "top_k": 12, "top_p": 0.95, "min_p": 0.01, "seed": 11}
    flags = [text for name, value in settings.items() for text in (f"--{name.replace('_', '-')}", f"{value}")]
    one = said(capsys, "prompt", "fox", "the ", *flags, "--backend", "torch")
    assert model.generate("the ", **settings) == one["text"]
    assert rnn_tui.load("fox", backend="numpy").generate("the ", **settings) == one["text"]
    several = said(capsys, "prompt", "fox", "the ", *flags, "--samples", "3")
    assert model.generate("the ", n=3, **settings) == [each["text"] for each in several]
    stopped = said(capsys, "prompt", "fox", "", "--seed", "5", "--stop", "e", "--length", "90")
    assert model.generate(seed=5, stop="e", length=90) == stopped["text"]


def test_the_settings_of_generate_are_those_of_the_command():
    parameters = inspect.signature(rnn_tui.Model.generate).parameters
    defaults = {field.name: field.default for field in dataclasses.fields(SamplingConfig)}
    assert {name: parameters[name].default for name in defaults} == defaults
    assert set(Sampling.__annotations__) == set(defaults)


def test_a_stream_is_the_text_in_pieces_and_can_be_gone_on_from(model):
    whole = model.generate("the ", length=50, seed=2)
    stream = model.stream("the ", length=50, seed=2)
    pieces = list(stream)
    assert "".join(pieces) == whole
    assert all(pieces)
    assert (stream.reason, stream.seed, stream.tokens) == ("length", 2, 50)
    after = stream.reading
    assert after.tokens == 54
    again = model.read("the " + whole)
    assert after.probabilities == pytest.approx(again.probabilities, abs=1e-6)


def test_a_stream_that_is_cancelled_ends(model):
    stream = model.stream("the ", length=1000, seed=2)
    next(stream)
    stream.cancel()
    assert len(list(stream)) < 100
    assert stream.reason == "cancelled"


def test_a_reading_is_a_snapshot(model):
    start = model.read("the quick ")
    before = start.probabilities.copy()
    branches = [start.read(word).generate(length=20, seed=1) for word in ("brown", "lazy", "brown")]
    assert branches[0] == branches[2] != branches[1]
    assert start.generate(length=20, seed=1) == model.generate("the quick ", length=20, seed=1)
    assert (start.probabilities == before).all()
    assert start.probabilities.sum() == pytest.approx(1)
    first, second = start.next(2)
    assert first.probability == before.max() > second.probability
    assert model.tokenizer.decode([first.id]) == first.text
    with pytest.raises(dataclasses.FrozenInstanceError):
        start.tokens = 3


def test_an_unknown_symbol_is_told(model):
    assert model.read("the 床").unknown == ("床",)
    assert model.score("the 床").unknown == ("床",)


def test_threads_take_turns_and_leave_torch_as_it_was(model):
    expected = [model.generate("the ", length=40, seed=seed) for seed in range(4)]
    torch.set_num_threads(3)
    found = {}

    def ask(seed):
        found[seed] = model.generate("the ", length=40, seed=seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = torch.get_num_threads()
    torch.set_num_threads(1)
    assert [found[seed] for seed in range(4)] == expected
    assert after == 3


# -- scores -----------------------------------------------------------------------------------------------------------


def test_scores_are_those_of_a_loop_over_the_logits(model):
    text = "the quick brown fox\nsleeps over a dog " * 20  # longer than what is read at once
    ids = torch.from_numpy(model.tokenizer.encode(text).astype(np.int64))
    state, expected = model.module.initial_state(1), [math.nan]
    with torch.inference_mode():
        for this, following in itertools.pairwise(ids):
            logits, state = model.module.step(this[None], state)
            expected.append(-float(torch.log_softmax(logits[0].double(), -1)[following]))
    scores = model.score(text)
    assert scores.surprise == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert scores.total == pytest.approx(math.fsum(expected[1:]), rel=1e-6)
    assert (scores.predicted, len(scores.tokens)) == (len(text) - 1, len(text))
    assert scores.mean == scores.total / (len(text) - 1)
    assert scores.bpc == pytest.approx(scores.mean / math.log(2))
    assert "".join(scores.tokens) == text
    assert scores.ids.tolist() == ids.tolist()
    assert model.read(text[:100]).score(text[100:]).surprise == pytest.approx(expected[100:], abs=1e-5)


def test_bytes_count_where_characters_are_longer(model):
    scores = model.score("aé明")
    assert scores.bpb == pytest.approx(scores.bpc * 3 / 6)


def test_scores_of_nothing(model):
    scores = model.score("")
    assert (scores.total, scores.predicted, scores.tokens) == (0, 0, ())
    assert math.isnan(scores.mean)
    assert math.isnan(scores.bpc)


# -- evaluation -------------------------------------------------------------------------------------------------------


def test_evaluate_is_eval(model, untraced, capsys):
    told = said(capsys, "eval", "fox")
    report = model.evaluate()
    assert comparable(json.loads(json.dumps(dataclasses.asdict(report)))) == comparable(told)


def test_the_evaluation_of_a_text_is_its_score(model, untraced, here):
    torch.set_num_threads(2)
    report = model.evaluate("fox.txt", lanes=1, cold=False)
    after = torch.get_num_threads()
    torch.set_num_threads(1)
    assert after == 2
    assert (report.split, report.chars) == ("all", report.tokens + 1)
    scores = model.score((here / "fox.txt").read_text())
    assert (scores.mean, scores.bpc) == pytest.approx((report.loss, report.bpc), rel=1e-5)


def test_evaluate_measures_what_is_in_memory(model, untraced, here):
    with torch.no_grad():
        model.module.head.bias.zero_()
        model.module.head.weight.zero_()  # every token alike
    report = model.evaluate(cold=False)
    vocabulary = model.tokenizer.vocab_size
    assert report.loss == pytest.approx(math.log(vocabulary))
    assert report.model == str(model.info.path)
    assert report.baselines["uniform"].loss == pytest.approx(math.log(vocabulary))
    assert model.read("the ").probabilities == pytest.approx(np.full(vocabulary, 1 / vocabulary))
    saved = model.save(here / "flat.safetensors")
    assert rnn_tui.load(saved).generate(seed=1) == model.generate(seed=1)


def test_the_numpy_backend_measures_too(model):
    plain = rnn_tui.load("fox", backend="numpy")
    assert plain.evaluate().loss == pytest.approx(plain.info.validation_loss, rel=1e-5)
    assert plain.parameters == model.parameters == sum(p.numel() for p in model.module.parameters())
    with pytest.raises(rnn_tui.UsageError, match="has no module; take 'torch'"):
        _ = plain.module


# -- what it is made of -----------------------------------------------------------------------------------------------


def test_a_model_is_loaded_by_run_path_or_checkpoint(model, here):
    run = rnn_tui.open_run("fox")
    checkpoint = max((run.path / "checkpoints").iterdir())
    for target in (run.path, run.path / "model.safetensors", str(checkpoint), "runs/fox"):
        assert rnn_tui.load(target).generate("a ", length=20, seed=1) == model.generate(
            "a ", length=20, seed=1
        )
    assert rnn_tui.load("fox", runs_dir=here / "runs").info == run.model().info
    with pytest.raises(rnn_tui.InputError, match="did you mean 'fox'"):
        rnn_tui.load("fix")


def test_a_saved_model_is_the_file(model, here):
    path = model.save(here / "copy.safetensors")
    assert path.read_bytes() == (here / "runs/fox/model.safetensors").read_bytes()
    plain = rnn_tui.load(path, backend="numpy")
    assert plain.save(here / "again.safetensors").read_bytes() == path.read_bytes()


def test_what_it_says_of_itself(model, here):
    info = model.info
    assert (info.task, info.architecture, info.tokenizer, info.run) == ("next-token", "lstm", "char", "fox")
    assert info.step == rnn_tui.open_run("fox").summary().step == 200
    assert info.vocab_size == model.tokenizer.vocab_size == 29  # 26 letters, space, newline, unknown
    assert model.config.model.hidden_size == 16
    assert model.config == rnn_tui.open_run("fox").config
    assert repr(model).startswith("<Model ")
    assert "lstm of the task next-token" in repr(model)


# -- other tasks ------------------------------------------------------------------------------------------------------


def test_labels_are_those_of_the_command(untrained, capsys):
    path = untrained("aligned")
    for backend in ("torch", "numpy"):
        found = rnn_tui.load(path, backend=backend).label("abcab")
        told = said(capsys, "prompt", str(path), "abcab")
        assert found.text == told["text"]
        probabilities = [label["probability"] for label in told["labels"][0]]
        assert [label.probability for label in found.pieces] == pytest.approx(probabilities)
    with pytest.raises(rnn_tui.UsageError, match="label takes one line"):
        rnn_tui.load(path).label("ab\nab")


def test_a_forecast_goes_on_from_its_own_outputs(untrained):
    model = rnn_tui.load(untrained("series"))
    rows = np.random.default_rng(0).normal(size=(20, 2))
    made = model.forecast(rows, 3)
    state = model.module.initial_state(1)
    mean, std = np.array([2.0, -1.0]), np.array([0.5, 4.0])
    expected = []
    with torch.inference_mode():
        for row in (rows - mean) / std:
            output, state = model.module.step(torch.tensor(row, dtype=torch.float32)[None], state)
        for _ in range(3):
            expected.append(output[0].numpy() * std + mean)
            output, state = model.module.step(output, state)
    assert made == pytest.approx(np.array(expected), abs=1e-5)
    assert made.shape == (3, 2)
    single = rnn_tui.load(untrained("series", columns=("up",)))
    assert single.forecast([1.0, 2.0, 3.0], 4).shape == (4,)
    assert single.forecast([[1.0], [2.0], [3.0]], 4).shape == (4, 1)


@pytest.mark.parametrize(
    ("values", "steps", "message"),
    [
        ([1.0, 2.0], 1, r"of the shape \(N, 2\) with N from 1, not \(2,\)"),
        ([[1.0, 2.0, 3.0]], 1, r"rows of 2 columns \(up, down\)"),
        (np.zeros((0, 2)), 1, "N from 1"),
        ([[1.0, float("nan")]], 1, "must be finite"),
        ([["a", "b"]], 1, "an array of numbers"),
        ([[1.0, 2.0]], 0, "steps must be a whole number from 1, not 0"),
    ],
)
def test_what_cannot_be_forecast_is_refused(untrained, values, steps, message):
    model = rnn_tui.load(untrained("series"))
    with pytest.raises(rnn_tui.UsageError, match=message):
        model.forecast(values, steps)


@pytest.mark.parametrize(
    ("task", "call", "message"),
    [
        (
            "series",
            lambda m: m.generate("a"),
            "generate is for models of the task next-token.*it has forecast",
        ),
        ("series", lambda m: m.label("a"), "label is for models of the task aligned.*it has forecast"),
        ("series", lambda m: m.tokenizer, "of numbers and has no tokenizer"),
        ("aligned", lambda m: m.stream("a"), "stream is for models of the task next-token.*it has label"),
        ("aligned", lambda m: m.evaluate(), "it has label and evaluate_labels"),
        ("series", lambda m: m.evaluate_labels(), "evaluate_labels is for models of the task aligned"),
        ("next-token", lambda m: m.evaluate_series(), "evaluate_series is for models of the task series"),
        ("aligned", lambda m: m.forecast([1.0]), "forecast is for models of the task series.*it has label"),
        (
            "next-token",
            lambda m: m.label("a"),
            "is of next-token; it has generate, stream, read, score and evaluate",
        ),
    ],
)
def test_another_task_s_method_is_refused(untrained, task, call, message):
    with pytest.raises(rnn_tui.UsageError, match=message):
        call(rnn_tui.load(untrained(task)))


# -- wrong inputs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.evaluate(split="valid"), "valid"),
        (lambda m: rnn_tui.load("fox", device="tpu"), "device tpu is not here"),
        (lambda m: rnn_tui.load("fox", backend="numpy", device="cuda"), "computes on the CPU"),
    ],
)
def test_what_is_wrong_is_told(model, call, message):
    with pytest.raises(rnn_tui.UsageError, match=message):
        call(model)


def test_messages_are_safe_to_show(here):
    with pytest.raises(rnn_tui.InputError) as caught:
        rnn_tui.load("./\x1b]0;owned\x07.safetensors")
    assert str(caught.value).startswith("./␛]0;owned␇.safetensors: there is no such file")
