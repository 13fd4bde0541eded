"""What a run measures while it trains, and when."""

import pytest

from rnn_tui.corpus.baselines import baselines
from rnn_tui.model.header import read_header
from rnn_tui.tasks.windows import plan_epoch
from rnn_tui.training import checkpoint
from rnn_tui.training.config import resolve
from rnn_tui.training.data import prepare_data
from rnn_tui.training.pace import Pace


def test_validation_by_epochs_and_a_sample_for_each_prompt_and_temperature(make, text):
    watch = {
        "every_epochs": 2,
        "sample_prompts": ["the ", "a"],
        "sample_temperatures": [0.0, 1.0],
        "sample_length": 10,
    }
    run = make("a", text, watch=watch, budget={"steps": 0, "epochs": 4}, data={"seq_len": 32})
    assert run.train() == 0
    log = run.events()
    per_epoch = log[0].data["steps_per_epoch"]
    checks = [e for e in log if e.kind == "validation"]
    assert [round(e.step / per_epoch) for e in checks] == [2, 4]
    samples = [(e.step, e.data["prompt"], e.data["temperature"]) for e in log if e.kind == "sample"]
    wanted = [(prompt, heat) for prompt in ("the ", "a") for heat in (0.0, 1.0)]
    assert samples == [(e.step, *one) for e in checks for one in wanted]
    meter = next(e.data for e in log if e.kind == "sample")
    assert 0 <= meter["novel"] <= 1
    assert meter["longest"] <= 10


def test_the_last_word_of_a_complete_run_is_its_evaluation(make, text):
    run = make("a", text)
    assert run.train() == 0
    told = [e for e in run.events() if e.kind == "evaluation"]
    assert [e.step for e in told] == [30]
    figures = told[0].data
    last = [e.data["loss"] for e in run.events() if e.kind == "validation"][-1]
    assert figures["warm"]["loss"] == pytest.approx(last, rel=1e-6)
    assert figures["cold"]["loss"] != figures["warm"]["loss"]
    assert figures["window"] == 12
    stopped = make("b", text)
    stopped.stop_at(5)
    stopped.train()
    assert not [e for e in stopped.events() if e.kind == "evaluation"]


def test_before_the_first_validation_the_newest_checkpoint_is_the_model(make, text):
    run = make("a", text, watch={"validate_every": 1000})
    run.stop_at(5)
    run.train()
    step = read_header(run.model_path).training["step"]
    assert step == checkpoint.find(run.checkpoints)[0].step > 0


def test_validation_equals_evaluating_the_model_file(make, settings, text):
    from rnn_tui.corpus.prepare import prepare_with
    from rnn_tui.model.file import load_model
    from rnn_tui.tasks.next_token import evaluate

    run = make("a", text)
    run.train()
    model, tokenizer, header = load_model(run.model_path)
    config = resolve([("x", settings(text))]).config
    ids = prepare_with(config.corpus, tokenizer).splits["validation"].ids()
    model.select_engine(run.events()[0].data["engine"])  # another way over time differs in the last bits
    assert (
        evaluate(model, ids).mean == header.training["validation_loss"] == run.events()[-1].data["best_loss"]
    )


def test_without_a_validation_split_the_newest_model_is_kept(make, text):
    run = make("a", text, corpus={"source": str(text), "validation": 0.0})
    assert run.train() == 0
    assert not [e for e in run.events() if e.kind == "validation"]
    assert read_header(run.model_path).training["step"] == 30


@pytest.mark.parametrize("loss_on", ["all", "last"])
def test_a_point_of_the_curve_is_the_mean_over_tokens(make, text, loss_on):
    data = {"seq_len": 12, "seq_len_min": 1, "batch_size": 8, "loss_on": loss_on}
    watch = {"validate_every": 100, "sample_length": 0}
    short, long = (
        make(f"every-{n}", text, data=data, budget={"steps": 5}, watch={**watch, "log_every": n})
        for n in (1, 5)
    )
    short.train()
    long.train()
    each = [e.data["loss"] for e in short.events() if e.kind == "train"]
    [point] = [e.data["loss"] for e in long.events() if e.kind == "train"]
    tokens = next(e.data["tokens_train"] for e in long.events() if e.kind == "start")
    plan = plan_epoch(tokens, sampling="sequential", batch_size=8, seq_len=12, seq_len_min=1, seed=1, epoch=0)
    weights = plan.lengths[:5].tolist() if loss_on == "all" else [1] * 5
    assert len(set(plan.lengths[:5].tolist())) > 1
    assert point == pytest.approx(sum(w * x for w, x in zip(weights, each, strict=True)) / sum(weights))


def test_without_a_validation_split_there_is_one_sample_at_the_end(make, text):
    run = make("a", text, corpus={"source": str(text), "validation": 0.0})
    run.train()
    assert [e.step for e in run.events() if e.kind == "sample"] == [10, 20, 30]


def test_baselines_are_of_the_tokens_that_are_validated_on(make, settings, text):
    watch = {"log_every": 4, "validate_every": 10, "sample_length": 0, "validation_tokens": 200}
    run = make("a", text, watch=watch)
    run.train()
    corpus = prepare_data(resolve([("x", settings(text))]).config)
    held_out = corpus.splits["validation"].ids()
    expected = baselines(corpus.splits["train"].ids(), held_out[:201], corpus.tokenizer.vocab_size)
    start = run.events()[0].data
    assert (start["tokens_validation"], start["baselines"]["trigram"]) == (201, expected.trigram)
    assert {e.data["tokens"] for e in run.events() if e.kind == "validation"} == {200}
    assert len(held_out) > 400


def test_with_automatic_intervals_the_first_validation_comes_early(make, text, monkeypatch):
    monkeypatch.setattr("rnn_tui.training.session.first_pace", lambda trainer: Pace(1, 4, 16))
    run = make("a", text, watch={"log_every": 0, "validate_every": 0, "sample_length": 0})
    assert run.train() == 0
    assert [e.step for e in run.events() if e.kind == "validation"] == [2, 16, 30]
