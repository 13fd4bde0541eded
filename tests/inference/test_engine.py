"""The engine as the app sees it: a real child process on two pipes."""

import math
import time
from dataclasses import asdict

import pytest

from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.torch_reader import TorchReader
from rnn_tui.inference.transcribe import transcribe
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.file import load_model, save_model
from rnn_tui.model.header import ModelFile
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.plugin.registry import load_plugin, plugin_record

FOX = "the quick brown fox\n"
GREEDY = {"greedy": True, "length": 5}
PATIENCE = 60


@pytest.fixture
def series_file(tmp_path):
    """The file of a small untrained model over one column of numbers."""
    config = ModelConfig(hidden_size=4)
    header = ModelFile(
        config={"model": asdict(config), "task": {"name": "series"}},
        tokenizer=None,
        architecture=plugin_record("architecture", config.arch),
        training={},
        scaling={"columns": ["x"], "mean": [0.0], "std": [1.0]},
    )
    model = build_model(load_plugin("architecture", config.arch), {}, config, columns=1)
    save_model(tmp_path / "model.safetensors", model, header)
    return tmp_path / "model.safetensors"


def text_of(events):
    return "".join(
        piece["text"] for event in events if event["event"] == "pieces" for piece in event["pieces"]
    )


def test_load_says_what_it_is(shared, fox):
    [loaded] = shared.ask(id=5, op="load", path=str(fox), device="cpu")
    vocabulary = len(set(FOX)) + 1
    # one LSTM layer over one-hot input, and the head
    parameters = 4 * 16 * (vocabulary + 16 + 1) + vocabulary * (16 + 1)
    assert loaded == {
        "id": 5,
        "event": "loaded",
        "slot": "main",
        "task": "",
        "arch": "lstm",
        "tokenizer": "char",
        "vocab_size": vocabulary,
        "parameters": parameters,
        "step": 7,
        "validation_loss": None,  # NaN in the file
        "chars_per_token": 1.0,
        "unknown_text": "\ufffd",
        "mtime": fox.stat().st_mtime,
        "notes": [],
    }


def test_generate_is_what_the_library_generates(engine, fox):
    settings = {"temperature": 0.9, "top_k": 5, "seed": 3, "length": 120}
    events = engine.ask(id=2, op="generate", prompt="the ", settings=settings)
    assert [event["event"] for event in events[:2]] == ["prompt", "pieces"]
    model, tokenizer, _ = load_model(fox)
    reader = TorchReader(model)
    primed = prime(reader, tokenizer, "the ")
    expected = list(generate(reader, tokenizer, primed, SamplingConfig(**settings)))
    pieces = [piece for event in events if event["event"] == "pieces" for piece in event["pieces"]]
    assert [(piece["text"], piece["token"]) for piece in pieces] == [
        (piece.text, piece.token) for piece in expected
    ]
    assert pieces[5]["surprise"] == pytest.approx(expected[5].surprise, rel=1e-4)
    assert pieces[5]["entropy"] == pytest.approx(expected[5].entropy, rel=1e-4)
    prompt = events[0]
    assert [piece["text"] for piece in prompt["pieces"]] == list("the ")
    assert prompt["pieces"][0]["surprise"] is None
    assert prompt["pieces"][1]["surprise"] == pytest.approx(primed.pieces[1].surprise, rel=1e-4)
    done = events[-1]
    assert (done["event"], done["reason"], done["tokens"], done["seed"]) == ("done", "length", 120, 3)
    assert len(done["next"]) == 10
    assert done["next"][0][2] >= done["next"][1][2]


def test_states_continue_retry_and_branch(engine):
    whole = text_of(engine.ask(id=2, op="generate", prompt="the", settings={"greedy": True, "length": 10}))
    first = engine.ask(id=3, op="generate", prompt="the", settings=GREEDY)
    state = first[-1]["state"]
    for number in (4, 5):  # twice from the same state: a retry
        rest = engine.ask(after=state, id=number, op="generate", prompt="", settings=GREEDY)
        assert text_of(first) + text_of(rest) == whole
    other = engine.ask(after=state, id=6, op="generate", prompt=" fox", settings=GREEDY)
    assert [piece["text"] for piece in other[0]["pieces"]] == list(" fox")
    assert other[0]["pieces"][0]["surprise"] is not None


def test_an_empty_prompt_an_unknown_symbol_and_no_seed(engine):
    events = engine.ask(id=2, op="generate", prompt="", settings={"length": 5})
    assert events[0]["pieces"] == []
    again = engine.ask(id=3, op="generate", prompt="", settings={"length": 5, "seed": events[-1]["seed"]})
    assert text_of(again) == text_of(events)
    assert engine.ask(id=4, op="generate", prompt="žt漢", settings=GREEDY)[0]["unknown"] == ["ž", "漢"]


def test_next_token_table(engine):
    [event] = engine.ask(id=2, op="next", prompt="th")
    assert event["event"] == "next"
    done = engine.ask(id=3, op="generate", prompt="th", settings={"length": 0})[-1]
    assert event["next"] == done["next"]
    assert engine.ask(after=done["state"], id=4, op="next", prompt="")[0]["next"] == done["next"]


def test_stop_texts(engine):
    text = text_of(engine.ask(id=2, op="generate", prompt="a", settings={"greedy": True, "length": 30}))
    events = engine.ask(
        id=3, op="generate", prompt="a", settings={"greedy": True, "length": 30, "stop": [text[3:5]]}
    )
    assert events[-1]["reason"] == "stop"
    assert text_of(events) == text[: text.find(text[3:5])]


def test_cancel_while_generating(engine):
    engine.send(id=2, op="generate", prompt="a", settings={"length": 10_000_000})
    while engine.next()["event"] != "pieces":
        pass
    begin = time.monotonic()
    engine.send(op="cancel", target=2)
    done = engine.answer(2)[-1]
    assert time.monotonic() - begin < 30
    assert (done["event"], done["reason"]) == ("done", "cancelled")
    assert 0 < done["tokens"] < 10_000_000
    # the state is that of what was given: going on from it works
    assert engine.ask(after=done["state"], id=3, op="generate", settings=GREEDY)[-1]["reason"] == "length"


def test_a_completion_is_compared_with_the_training_text(start, model_file, tmp_path):
    (tmp_path / "fox.txt").write_text(FOX * 50)
    corpus = {"source": str(tmp_path / "fox.txt"), "validation": 0.1}
    client = start()
    client.ask(id=1, op="load", path=str(model_file(text=FOX, corpus=corpus)))
    events = client.ask(id=2, op="generate", prompt="the ", settings={"length": 300, "seed": 1})
    done = events[-1]
    pieces = [piece for event in events if event["event"] == "pieces" for piece in event["pieces"]]
    text = "".join(piece["text"] for piece in pieces)
    copied = done["copied"]
    n = copied["n"]
    new = [text[at : at + n] not in FOX * 45 for at in range(len(text) - n + 1)]
    assert copied["novel"] == sum(new) / len(new)
    longest = max(
        size for size in range(50) if any(text[at : at + size] in FOX * 45 for at in range(300 - size))
    )
    assert (copied["longest"], copied["held_out"], copied["memorised"]) == (longest, 0.0, False)
    assert done["not_compared"] == ""
    done = client.ask(id=3, op="generate", settings={"length": 1})[-1]
    assert (done["copied"], done["not_compared"]) == (None, "the completion is too short")
    # a model that was copied here without its corpus
    (tmp_path / "fox.txt").unlink()
    client.ask(id=4, op="load", path=str(model_file(text=FOX, corpus=corpus)))
    done = client.ask(id=5, op="generate", settings=GREEDY)[-1]
    assert done["copied"] is None
    assert "fox.txt" in done["not_compared"]
    assert client.close() == 0


def test_cancel_while_reading_a_prompt_and_while_waiting(engine):
    engine.send(id=2, op="generate", prompt="the fox " * 1_000_000, settings={})
    engine.send(id=3, op="generate", prompt="a", settings={"length": 10_000_000})
    engine.send(id=4, op="cancel", target=3)
    engine.send(id=5, op="cancel", target=2)
    [done] = engine.answer(2)
    assert (done["reason"], done["tokens"], done["state"]) == ("cancelled", 0, None)
    assert engine.answer(3)[-1]["reason"] == "cancelled"
    # a cancel that comes too late hits nobody, also not a later request of the same number
    engine.send(op="cancel", target=3)
    assert engine.ask(id=3, op="generate", settings=GREEDY)[-1]["reason"] == "length"


def test_a_prompt_of_a_megabyte(engine, model_file):
    engine.ask(id=1, op="load", path=str(model_file(text=FOX, arch="nn-lstm")))  # over time in one fused call
    events = engine.ask(id=2, op="generate", prompt="the quick brown fox\n" * 52_500, settings=GREEDY)
    assert events[0]["tokens"] == 1_050_000
    assert len(events[0]["pieces"]) == 4096
    assert events[-1]["tokens"] == 5


def test_pieces_are_batched(engine):
    engine.send(id=2, op="generate", prompt="a", settings={"length": 3000, "seed": 1})
    times = []
    while True:
        at, event = engine.lines.get(timeout=PATIENCE)
        if event["event"] == "done":
            break
        times += [at] if event["event"] == "pieces" else []
    # the first and the last batch may follow closely; between the others lie 50 ms on the engine's clock
    assert (times[-2] - times[0]) / max(1, len(times) - 2) > 0.045
    assert len(times) < event["seconds"] / 0.05 + 3


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (b'{"id":9,"op":"genrate"}', 2, "no operation 'genrate'; did you mean 'generate'"),
        (b'{"id":9,"op":"generate","prompt":5}', 2, "Expected `str`"),
        (b'{"id":9,"op":"generate","promt":"x"}', 2, "unknown field `promt`"),
        (b'{"id":9,"op":"load"}', 2, "required field `path`"),
        (b'{"id":9,"op":"load","path":"/nowhere.safetensors"}', 3, "/nowhere.safetensors: No such file"),
        (b'{"id":9,"op":"load","path":"/dev/zero"}', 3, "a device"),
        (b'{"id":9,"op":"load","path":"x\\u0000y"}', 3, "no file can have this name"),
        (b'{"id":9,"op":"generate","settings":{"temperature":-1}}', 2, "sampling setting temperature"),
        (b'{"id":9,"op":"generate","settings":{"warmth":1}}', 2, "no sampling setting 'warmth'"),
        (b'{"id":9,"op":"generate","from":12345}', 3, "state is no longer kept"),
    ],
)
def test_failures_are_one_line_and_the_engine_lives(engine, line, code, message):
    engine.send_raw(line)
    [event] = engine.answer(9)
    assert (event["event"], event["exit_code"]) == ("error", code)
    assert message in event["message"]
    assert "\n" not in event["message"]
    assert engine.ask(id=10, op="generate", settings=GREEDY)[-1]["event"] == "done"


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"5", b'"x"', b"\xff\xfe", b'{"op":"load","path":"x"}', b'{"id":"x","op":"next"}',
             b'{"id":1.5,"op":"next"}', b"[" * 100_000, b'{"id":NaN}', b'{"id":1e999}', b"x" * (17 * 2**20)]
)  # fmt: skip
def test_lines_that_are_no_requests(engine, line):
    engine.send_raw(line)
    [event] = engine.answer(None)
    assert (event["event"], event["exit_code"]) == ("error", 2)
    assert engine.ask(id=10, op="next", prompt="a")[0]["event"] == "next"


def test_empty_lines_are_nothing(engine):
    engine.send_raw(b"\n  ")
    assert engine.ask(id=10, op="next", prompt="a")[0]["event"] == "next"


def test_forgotten_and_old_states(engine, fox):
    state = engine.ask(id=2, op="generate", settings=GREEDY)[-1]["state"]
    engine.send(op="forget", state=state)
    engine.send(op="forget", state=99_999)
    [event] = engine.ask(after=state, id=3, op="generate", settings=GREEDY)
    assert event["exit_code"] == 3
    first = engine.ask(id=4, op="generate", settings={"length": 0})[-1]["state"]
    for number in range(256):
        engine.ask(id=10 + number, op="generate", settings={"length": 0})
    assert engine.ask(after=first, id=5, op="next")[0]["event"] == "error"
    assert engine.ask(after=first + 1, id=6, op="next")[0]["event"] == "next"
    engine.ask(id=7, op="load", path=str(fox))
    assert engine.ask(after=first + 1, id=8, op="next")[0]["event"] == "error"


def test_a_failed_load_keeps_the_model_and_its_states(engine, tmp_path):
    state = engine.ask(id=2, op="generate", settings=GREEDY)[-1]["state"]
    (tmp_path / "bad").write_bytes(b"PK\x03\x04")
    assert "zip archive" in engine.ask(id=3, op="load", path=str(tmp_path / "bad"))[0]["message"]
    assert engine.ask(after=state, id=4, op="generate", settings=GREEDY)[-1]["event"] == "done"


def test_an_aligned_model_answers_with_labels(shared, model_file):
    path = model_file(text=FOX, task="aligned")
    [loaded] = shared.ask(id=20, op="load", path=str(path))
    assert loaded["task"] == "aligned"
    prompt, pieces, done = shared.ask(
        id=21, op="generate", prompt="foxž", settings={"temperature": 9, "seed": 4}
    )
    model, tokenizer, _ = load_model(path)
    expected = transcribe(TorchReader(model), tokenizer, "foxž")
    assert [piece["text"] for piece in prompt["pieces"]] == ["f", "o", "x", "\ufffd"]
    assert [piece["token"] for piece in prompt["pieces"]] == tokenizer.encode("foxž").tolist()
    assert prompt["unknown"] == ["ž"]
    assert "".join(piece["text"] for piece in pieces["pieces"]) == expected.text
    surprises = [-math.log(label.probability) for label in expected.pieces]
    assert [piece["surprise"] for piece in pieces["pieces"]] == pytest.approx(surprises)
    assert (done["state"], done["reason"], done["tokens"], done["next"]) == (None, "transcribed", 4, [])
    [refused] = shared.ask(id=22, op="next", prompt="f")
    assert "no next token" in refused["message"]
    [refused] = shared.ask(id=23, op="generate", prompt="a\nb")
    assert (refused["exit_code"], "one line at a time" in refused["message"]) == (2, True)


def test_a_model_of_a_series_is_refused(shared, series_file):
    [refused] = shared.ask(id=24, op="load", path=str(series_file))
    assert refused["exit_code"] == 2
    assert "trained on a series of numbers" in refused["message"]
    assert "rnn-tui eval" in refused["message"]
