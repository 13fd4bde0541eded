import itertools
import json
import lzma
import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from torch.nn import functional

from rnn_tui.corpus.config import CorpusConfig
from rnn_tui.errors import InputError, UsageError
from rnn_tui.inference.dynamic import DynamicConfig, evaluate_dynamic
from rnn_tui.inference.evaluate import corpus_of_model, evaluate_corpus
from rnn_tui.inference.reports import AlignedReport, SeriesReport
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.file import load_model, save_model
from rnn_tui.model.header import ModelFile, read_header
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin, plugin_record
from rnn_tui.tasks.next_token import evaluate

TEXT = "the cat sat on the mat and the hat.\n" * 60


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return CorpusConfig(source=str(path), validation=0.25)


@pytest.fixture
def model(model_file, corpus):
    return model_file(text=TEXT, corpus=msgspec.to_builtins(corpus))


def xz_size(text):
    return len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def stepwise_loss(path, text, window=10**9):
    """The mean surprise of every character but the first, one step at a time, from a fresh state every `window`."""
    model, tokenizer, _ = load_model(path)
    ids = tokenizer.encode(text).astype(np.int64)
    losses = []
    with torch.no_grad():
        for index, (this, following) in enumerate(itertools.pairwise(ids)):
            if index % window == 0:
                state = model.initial_state(1)
            logits, state = model.step(torch.tensor([this]), state)
            losses.append(functional.cross_entropy(logits.double(), torch.tensor([following])).item())
    return math.fsum(losses) / len(losses)


def test_the_figures_of_the_validation_split(model):
    report = evaluate_corpus(model, lanes=1)
    held_out = TEXT[int(len(TEXT) * 0.75) :]
    loss = stepwise_loss(model, held_out)
    assert report.loss == pytest.approx(loss, rel=1e-6)
    assert report.perplexity == pytest.approx(math.exp(loss), rel=1e-6)
    # a character is a token and a byte here
    assert report.bpc == report.bpb == pytest.approx(loss / math.log(2), rel=1e-6)
    assert (report.tokens, report.chars, report.bytes) == (len(held_out) - 1, len(held_out), len(held_out))
    assert (report.unknown, report.lanes) == (0, 1)
    assert (report.split, report.run, report.step, report.validation_loss) == ("validation", "r", 7, 1.5)


def test_it_is_what_validation_in_training_reports(model):
    report = evaluate_corpus(model)
    loaded, tokenizer, _ = load_model(model)
    loaded.select_engine("auto")  # as the report does: the plain loop differs in the last bits
    ids = tokenizer.encode(TEXT[int(len(TEXT) * 0.75) :])
    assert report.loss == evaluate(loaded, ids).mean


def test_baselines_are_of_the_training_split(model):
    found = evaluate_corpus(model).baselines
    symbols = len(set(TEXT)) + 1
    uniform = found["uniform"]
    assert uniform.loss == pytest.approx(math.log(symbols))
    assert uniform.perplexity == pytest.approx(symbols)
    assert uniform.bpc == uniform.bpb == pytest.approx(math.log2(symbols))
    assert found["trigram"].loss < found["bigram"].loss < found["unigram"].loss < uniform.loss
    cut = int(len(TEXT) * 0.75)
    longer = 8 * (xz_size(TEXT) - xz_size(TEXT[:cut]))
    assert found["xz"].bpc == pytest.approx(longer / (len(TEXT) - cut))
    assert found["xz"].loss == pytest.approx(found["xz"].bpc * math.log(2))


def test_bytes_and_characters_differ(model_file, tmp_path):
    text = "漢字かな" * 50
    path = tmp_path / "zh.txt"
    path.write_text(text)
    corpus = CorpusConfig(source=str(path), validation=0.5)
    report = evaluate_corpus(model_file(text=text, corpus=msgspec.to_builtins(corpus)))
    assert (report.chars, report.bytes) == (100, 300)
    assert report.bpc == pytest.approx(3 * report.bpb)


@pytest.mark.parametrize(("split", "chars"), [("train", 1620), ("all", 2160)])
def test_other_splits(model, split, chars):
    report = evaluate_corpus(model, split=split)
    assert (report.chars, report.split) == (chars, split)


def test_a_split_that_is_not_there(model):
    with pytest.raises(UsageError, match="no split 'test'"):
        evaluate_corpus(model, split="test")


def test_another_corpus_with_symbols_the_model_lacks(model, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("the cat 漢 sat 字\n" * 20)
    report = evaluate_corpus(model, CorpusConfig(source=str(path)), split="all")
    assert report.corpus == "other"
    assert report.unknown == 40
    assert any("40 of 320 tokens are unknown" in note for note in report.notes)
    # the baselines still learn from the model's own training split: on its own text they are far better
    assert report.baselines["trigram"].loss > 3 * evaluate_corpus(model).baselines["trigram"].loss


def test_without_the_corpus_it_was_trained_on_there_are_no_baselines(model, corpus, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(TEXT)
    (tmp_path / "text.txt").unlink()
    report = evaluate_corpus(model, replace(corpus, source=str(other)))
    assert report.baselines == {}
    assert any("no baselines" in note for note in report.notes)
    with pytest.raises(InputError):
        evaluate_corpus(model)


def test_perplexity_overflows_to_infinity(model):
    loaded, _, header = load_model(model)
    with torch.no_grad():
        loaded.head.weight.mul_(1e6)
    save_model(model, loaded, header)
    report = evaluate_corpus(model)
    assert report.loss > 1000
    assert report.perplexity == math.inf


def test_standard_input_is_found_as_the_runs_copy(model_file, tmp_path):
    run = tmp_path / "runs" / "r"
    (run / "checkpoints" / "step-00000010").mkdir(parents=True)
    (run / "corpus.txt").write_text(TEXT)
    settings = msgspec.to_builtins(CorpusConfig(source="-"))
    for place in (run, run / "checkpoints" / "step-00000010"):
        path = model_file(place / "model.safetensors", text=TEXT, corpus=settings)
        assert evaluate_corpus(path).chars == 216
    elsewhere = model_file(tmp_path / "copied.safetensors", text=TEXT, corpus=settings)
    with pytest.raises(InputError, match="standard input"):
        corpus_of_model(read_header(elsewhere), elsewhere)


def test_a_folder_is_read_for_a_model_in_its_run_only(model_file, tmp_path):
    texts, run = tmp_path / "texts", tmp_path / "runs" / "r"
    texts.mkdir()
    run.mkdir(parents=True)
    (texts / "a.txt").write_text(TEXT)
    settings = msgspec.to_builtins(CorpusConfig(source=str(texts)))
    path = model_file(run / "model.safetensors", text=TEXT, corpus=settings)
    with pytest.raises(InputError, match=r"names the folder .*texts as its corpus"):
        evaluate_corpus(path)
    (run / "config.toml").write_text("")
    assert evaluate_corpus(path).chars == 216


def test_it_says_where_training_validated_on_less(model):
    loaded, _, header = load_model(model)
    for limit, told in ((100, True), (539, False), (0, False)):
        config = header.config | {"watch": {"validation_tokens": limit}}
        save_model(model, loaded, replace(header, config=config))
        notes = [note for note in evaluate_corpus(model).notes if "xz" not in note]
        assert bool(notes) is told
        assert not told or "first 100 tokens" in notes[0]
    assert evaluate_corpus(model, split="train").notes == ()


def test_progress_and_json(model):
    seen = []
    report = evaluate_corpus(model, progress=lambda what, done, total: seen.append((what, done, total)))
    for what in ("evaluating", "evaluating in fresh windows"):
        assert (what, report.tokens, report.tokens) in seen
    assert json.loads(msgspec.json.encode(report))["baselines"]["uniform"]["bpb"] > 0


def test_cold_figures_are_of_fresh_windows_as_long_as_in_training(model):
    held_out = TEXT[int(len(TEXT) * 0.75) :]
    loaded, _, header = load_model(model)
    for data, window in (({"seq_len": 17}, 17), ({"seq_len": 0}, 64), ({"seq_len": 10_000}, 539)):
        save_model(model, loaded, replace(header, config=header.config | {"data": data}))
        report = evaluate_corpus(model)
        assert report.cold.window == len(report.cold.by_position) == window
        assert report.cold.loss == pytest.approx(stepwise_loss(model, held_out, window), rel=1e-6)
        assert report.cold.bpc == pytest.approx(report.cold.loss / math.log(2), rel=1e-6)
        assert report.cold.perplexity == pytest.approx(math.exp(report.cold.loss), rel=1e-6)
    # all windows are whole but the last, of which position 1 to 539 % 17 is there
    counts = [32] * 12 + [31] * 5
    save_model(model, loaded, replace(header, config=header.config | {"data": {"seq_len": 17}}))
    cold = evaluate_corpus(model).cold
    assert np.average(cold.by_position, weights=counts) == pytest.approx(cold.loss)
    assert evaluate_corpus(model, cold=False).cold is None


def test_dynamic_figures_stand_apart(model):
    config = DynamicConfig(segment=5, lr=1e-2, decay=1e-2)
    asked = []

    def settings(chars_per_token):
        asked.append(chars_per_token)
        return config

    report = evaluate_corpus(model, dynamic=settings)
    loaded, tokenizer, _ = load_model(model)
    loaded.select_engine("auto")
    cut = int(len(TEXT) * 0.75)
    expected = evaluate_dynamic(loaded, tokenizer.encode(TEXT[cut:]), tokenizer.encode(TEXT[:cut]), config)
    assert report.dynamic.loss == pytest.approx(expected.mean, rel=1e-6)
    assert report.dynamic.bpc == pytest.approx(expected.mean / math.log(2), rel=1e-6)
    assert report.dynamic.settings == config
    assert asked == [1.0]
    plain = evaluate_corpus(model)
    assert plain.dynamic is None
    assert report.loss == plain.loss
    assert report.dynamic.loss < plain.loss - 0.1  # an untrained model, and a text that says one thing


def test_dynamic_evaluation_needs_the_training_text(model, corpus, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(TEXT)
    (tmp_path / "text.txt").unlink()
    with pytest.raises(InputError):
        evaluate_corpus(
            model,
            replace(corpus, source=str(other)),
            dynamic=lambda _: DynamicConfig(segment=20, lr=1e-3, decay=1e-2),
        )


def test_xz_is_not_asked_about_the_text_that_it_has_just_read(model):
    for split in ("train", "all"):
        assert list(evaluate_corpus(model, split=split).baselines) == [
            "uniform",
            "unigram",
            "bigram",
            "trigram",
        ]


def test_why_xz_needs_so_little_is_said(model, tmp_path):
    said = (
        "xz has little to tell: this text is copied from the training text: 100% in passages of 21 characters"
    )
    (note,) = evaluate_corpus(model).notes
    assert note.startswith(said)
    (tmp_path / "other.txt").write_text("teeth then at a mat sat hot, hum on the sea. net them and nothe\n")
    other = evaluate_corpus(model, CorpusConfig(source=str(tmp_path / "other.txt")), split="all")
    assert not any("xz" in note for note in other.notes)


def test_labels(model_file, tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("abca\tbcab\n" * 6 + "ab\tbb\nca\tac\n")
    corpus = CorpusConfig(source=str(path), validation=0.25)
    file = model_file(text="abc", corpus=msgspec.to_builtins(corpus))
    loaded, tokenizer, header = load_model(file)
    save_model(file, loaded, replace(header, config=header.config | {"task": {"name": "aligned"}}))
    report = evaluate_corpus(file)
    nats = right = whole = 0
    for source, target in (("ab", "bb"), ("ca", "ac")):
        state, hits = loaded.initial_state(1), 0
        for now, label in zip(
            tokenizer.encode(source).tolist(), tokenizer.encode(target).tolist(), strict=True
        ):
            with torch.no_grad():
                logits, state = loaded.step(torch.tensor([now]), state)
            nats -= logits.log_softmax(-1)[0, label].item()
            hits += int(logits.argmax() == label)
        right, whole = right + hits, whole + (hits == 2)
    assert isinstance(report, AlignedReport)
    assert report.loss == pytest.approx(nats / 4, rel=1e-5)
    assert (report.accuracy, report.exact, report.labels, report.lines) == (right / 4, whole / 2, 4, 2)
    assert report.baselines["uniform"] == pytest.approx(math.log(tokenizer.vocab_size))
    assert (report.split, report.step, report.notes) == ("validation", 7, ())
    assert evaluate_corpus(file, split="all").lines == 8
    with pytest.raises(UsageError, match="of the task 'aligned'"):
        evaluate_corpus(file, dynamic=lambda _: DynamicConfig(segment=20, lr=1e-3, decay=1e-2))


def test_labels_without_the_training_text(model_file, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("ab\tba\n" * 4)
    gone = CorpusConfig(source=str(tmp_path / "gone.txt"))
    file = model_file(text="abc", corpus=msgspec.to_builtins(gone))
    loaded, _, header = load_model(file)
    save_model(file, loaded, replace(header, config=header.config | {"task": {"name": "aligned"}}))
    report = evaluate_corpus(file, CorpusConfig(source=str(other)), split="all")
    assert report.baselines == {}
    assert "no baselines" in report.notes[0]


def test_a_series(tmp_path):
    values = np.round(np.sin(np.arange(60) / 5) * 3 + 10, 3)
    source = tmp_path / "wave.csv"
    source.write_text("level\n" + "\n".join(map(str, values)))
    corpus = CorpusConfig(source=str(source), validation=0.25)
    config = ModelConfig(arch="gru", hidden_size=4)
    torch.manual_seed(0)
    net = build_model(load_plugin("architecture", "gru"), {}, config, columns=1)
    file = tmp_path / "model.safetensors"
    header = ModelFile(
        config={
            "model": msgspec.to_builtins(config),
            "corpus": msgspec.to_builtins(corpus),
            "task": {"name": "series", "horizons": [1, 3]},
        },
        tokenizer=None,
        scaling={"columns": ["level"], "mean": [10.0], "std": [2.0]},
        architecture=plugin_record("architecture", "gru"),
        training={},
    )
    save_model(file, net, header)
    report = evaluate_corpus(file)
    assert isinstance(report, SeriesReport)
    assert (report.columns, report.rows, [h.horizon for h in report.horizons]) == (("level",), 15, [1, 3])
    for found in report.horizons:
        k = found.horizon
        assert found.persistence == pytest.approx(np.mean((values[45:] - values[45 - k : 60 - k]) ** 2))
        assert found.rows == 15
    # one step ahead, by hand
    state, squares = net.initial_state(1), []
    with torch.no_grad():
        for row in range(59):
            forecast, state = net.step(torch.tensor([[(values[row] - 10) / 2]], dtype=torch.float32), state)
            squares.append((forecast.item() * 2 + 10 - values[row + 1]) ** 2)
    assert report.horizons[0].mse == pytest.approx(np.mean(squares[44:]), rel=1e-4)
    assert evaluate_corpus(file, split="all").rows == 60
