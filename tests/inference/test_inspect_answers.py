"""Requests and what is said to them: the same figures as the functions give, in the fields that are documented."""

import gc
import json
import re
import weakref

import msgspec
import numpy as np
import pytest

from rnn_tui.errors import UsageError
from rnn_tui.inference import inspect_requests, inspecting
from rnn_tui.inference import trace as tracing
from rnn_tui.inference.activations import heat_map, unit_values
from rnn_tui.inference.gates import read_gates
from rnn_tui.inference.inspect_requests import PATTERNS, Inspect
from rnn_tui.inference.inspecting import answer
from rnn_tui.inference.patterns import mark
from rnn_tui.inference.reach import gradient_reach
from rnn_tui.inference.trace import Cancelled, read_trace, strands_of
from rnn_tui.inference.units import best_units, scores

TEXT = 'the "quick" brown fox,\nand 2 (or 3) dogs.\n' * 2


@pytest.fixture
def tokenizer(char_tokenizer):
    return char_tokenizer(TEXT)


@pytest.fixture
def model(sharp_lstm, tokenizer):
    return sharp_lstm(tokenizer, num_layers=2)


@pytest.fixture
def ask(model, tokenizer):
    """Ask as the engine does, and return the events as they arrive at the other end."""

    def ask(*, cancelled=lambda: False, labels=False, **fields):
        request = msgspec.json.decode(json.dumps({"id": 1} | fields), type=Inspect)
        events = []

        def say(event, **fields):
            events.append(json.loads(msgspec.json.encode({"event": event} | fields)))

        answer(request, model, tokenizer, say, cancelled, labels=labels)
        assert events[-1]["event"] == inspect_requests.LAST[fields["op"]]
        return events[-1]

    return ask


@pytest.fixture
def trace(model, tokenizer):
    return read_trace(model, strands_of(model), tokenizer, TEXT)


def test_nothing_can_be_seen_before_a_text_was_read(ask):
    for op in ("survey", "gates", "reach"):
        with pytest.raises(UsageError, match="no text has been read"):
            ask(op=op)


def test_read(ask, trace):
    found = ask(op="read", text=TEXT + "žž")
    assert "".join(found["texts"][: len(TEXT)]) == TEXT
    assert found["ids"][: len(TEXT)] == trace.ids.tolist()
    assert found["surprise"][0] is None
    assert found["surprise"][1 : len(TEXT)] == pytest.approx(trace.surprise[1:].tolist(), abs=1e-4)
    assert (found["tokens"], found["unknown"], found["left_out"]) == (len(TEXT) + 2, ["ž"], 0)
    assert [(part["name"], part["layer"], part["units"]) for part in found["parts"]] == [
        (f"layer {layer} {name}", layer, 12) for layer in (1, 2) for name in "hc"
    ]
    assert [part["bounded"] for part in found["parts"][::2]] == [True, True]
    for part in found["parts"]:
        assert part["low"] < part["high"]
    assert found["bytes"] == (len(TEXT) + 2) * 48 * 4


def test_units_and_survey(ask, trace):
    ask(op="read", text=TEXT)
    found = ask(op="units", pattern="quotes", top=3)
    marks = mark(trace.texts, "quotes")
    [expected] = best_units(trace.parts, [marks], 3)
    assert [(one["part"], one["unit"]) for one in found["found"]] == [
        (one.part, one.unit) for one in expected
    ]
    for one, other in zip(found["found"], expected, strict=True):
        names = ("score", "mean_in", "mean_out", "threshold", "auc")
        assert [one[name] for name in names] == pytest.approx([getattr(other, name) for name in names])
    assert found["marked"] == marks.values.tolist()
    assert found["share"] == 12 / 84
    assert (found["kind"], found["note"], found["tokens"]) == ("yes-no", "", len(TEXT))

    number = ask(op="units", pattern="bracket-depth", top=1)
    assert (number["kind"], number["found"][0]["auc"]) == ("number", None)
    assert len(ask(op="units", pattern="regex:[a-f]", top=100)["found"]) == 48
    nothing = ask(op="units", pattern="comment")
    assert (nothing["found"], nothing["share"]) == ([], 0)
    assert "nowhere or everywhere" in nothing["note"]

    survey = ask(op="survey", top=1)["patterns"]
    assert [one["pattern"] for one in survey] == [
        name
        for name in PATTERNS
        if name not in ("single-quotes", "indent", "comment", "after-capital", "capitals")
    ]
    [best] = survey[0]["found"]
    assert {name: best[name] for name in ("part", "unit", "auc")} == {
        name: found["found"][0][name] for name in ("part", "unit", "auc")
    }
    assert best["score"] == pytest.approx(found["found"][0]["score"])


def test_values_and_map(ask, trace):
    ask(op="read", text=TEXT)
    part = trace.parts[3]
    found = ask(op="values", part="layer 2 c", unit=5)
    expected = unit_values(part, 5)
    assert found["values"] == pytest.approx(expected.values.tolist(), abs=1e-3)
    assert [found[name] for name in ("scale", "low", "high", "mean")] == pytest.approx(
        [expected.scale, expected.low, expected.high, expected.mean], abs=1e-5
    )
    found = ask(op="map", part="layer 2 c", height=5, width=9, begin=10)
    expected = heat_map(part, 5, 9, begin=10)
    assert np.array(found["rows"]) == pytest.approx(expected.cells, abs=1e-3)
    assert (found["units"], found["starts"]) == (expected.units, expected.starts)
    assert (found["begin"], found["end"]) == (10, len(TEXT))
    found = ask(op="map", part="layer 2 c", height=12, width=9, order="whitespace")
    order = [unit for [unit] in found["units"]]
    by_hand = scores(part, [mark(trace.texts, "whitespace")])[:, 0]
    assert by_hand[order].tolist() == sorted(by_hand.tolist(), reverse=True)


def test_gates_and_reach(ask, model, trace):
    ask(op="read", text=TEXT)
    found = ask(op="gates")
    assert [(gate["place"], gate["name"], gate["units"]) for gate in found["gates"]] == [
        (f"layer {layer}", name, 12) for layer in (1, 2) for name in "fio"
    ]
    expected = read_gates(model, trace)[4]
    gate = found["gates"][4]
    assert gate["left"] == pytest.approx(expected.left.tolist(), abs=1e-4)
    assert gate["right_share"] == pytest.approx(expected.right.mean())
    assert (found["note"], found["tokens"]) == ("", len(TEXT))

    found = ask(op="reach", distance=15)
    expected = gradient_reach(model, trace, 15)
    assert found["reach"] == pytest.approx(expected.whole.tolist(), rel=1e-3)
    assert [layer["layer"] for layer in found["layers"]] == [1, 2]
    assert found["layers"][1]["reach"] == pytest.approx(expected.layers[1].tolist(), rel=1e-3)
    assert (found["distance"], found["positions"]) == (15, len(TEXT) - 16)
    assert (found["half"], found["hundredth"]) == (expected.below(0.5), expected.below(0.01))
    with pytest.raises(UsageError):
        ask(op="reach", distance=0)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"op": "units", "pattern": "regex:("}, "is wrong"),
        ({"op": "values", "part": "layer 3 h", "unit": 0}, "has no part"),
        ({"op": "values", "part": "layer 1 h", "unit": -1}, "has the units 0 to 11, not -1"),
        ({"op": "map", "part": "layer 1 h", "height": 0, "width": 1}, "a map has"),
        ({"op": "map", "part": "layer 1 h", "height": 1, "width": 1, "order": "x"}, "no pattern"),
    ],
)
def test_what_is_not_there(ask, fields, why):
    ask(op="read", text=TEXT)
    with pytest.raises(UsageError, match=why):
        ask(**fields)


def test_a_cancelled_read_leaves_no_trace(ask):
    ask(op="read", text=TEXT)
    with pytest.raises(Cancelled) as raised:
        ask(op="read", text=TEXT, cancelled=lambda: True)
    assert raised.value.exit_code == 130
    with pytest.raises(UsageError, match="no text has been read"):
        ask(op="gates")


def test_progress_is_told(model, tokenizer, monkeypatch):
    monkeypatch.setattr(inspecting, "PROGRESS_SECONDS", 0)
    monkeypatch.setattr(tracing, "WINDOW", 50)
    events = []
    request = inspect_requests.Read(id=1, text=TEXT)
    answer(request, model, tokenizer, lambda event, **fields: events.append((event, fields)), lambda: False)
    steps = [fields for event, fields in events if event == "progress"]
    assert steps[0] == {"what": "reading", "done": 50, "total": 2 * len(TEXT)}
    assert steps[-1]["done"] == 2 * len(TEXT)


def test_a_model_of_labels_has_no_surprise(ask):
    assert set(ask(op="read", text=TEXT, labels=True)["surprise"]) == {None}
    assert ask(op="reach", distance=5)["positions"] == len(TEXT) - 5


def test_a_model_that_is_let_go_takes_its_trace_with_it(sharp_lstm, tokenizer):
    model = sharp_lstm(tokenizer)
    answer(inspect_requests.Read(id=1, text=TEXT), model, tokenizer, lambda *_, **__: None, lambda: False)
    gone = weakref.ref(model)
    trace = weakref.ref(inspecting._SESSIONS[model].trace)
    del model
    gc.collect()
    assert gone() is None
    assert trace() is None


def test_every_pattern_and_request_is_documented():
    text = inspect_requests.__doc__
    for op, event in inspect_requests.LAST.items():
        assert f'"op": "{op}"' in text
        assert f'"event": "{event}"' in text
    documented = set(re.findall(r'"op": "(\w+)"', text))
    assert documented == set(inspect_requests.LAST)


def test_the_engine_answers(engine):
    engine.send(id=2, op="read", text="the quick brown fox\n" * 5)
    assert engine.answer(2, last=("trace", "error"))[-1]["tokens"] == 100
    engine.send(id=3, op="units", pattern="whitespace", top=2)
    assert len(engine.answer(3, last=("units", "error"))[-1]["found"]) == 2
    engine.send(id=4, op="values", part="layer 9", unit=1)
    refused = engine.answer(4, last=("values", "error"))[-1]
    assert (refused["event"], refused["exit_code"]) == ("error", 2)
    engine.send(id=5, op="read", slot="b", text="the")
    assert engine.answer(5, last=("trace", "error"))[-1]["event"] == "error"
