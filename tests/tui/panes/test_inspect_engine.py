"""The Inspect pane's view of the protocol against what really answers it, without a process between them."""

from typing import Any

import msgspec
import pytest

from rnn_tui.inference.inspect_requests import Gates, Map, Reach, Read, Survey, Units, Values
from rnn_tui.model.config import ModelConfig
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.tui.engine_client import Event
from rnn_tui.tui.panes import inspect_answers as answers
from rnn_tui.tui.panes.inspect_units import Unit, has_unit
from rnn_tui.tui.widgets.heat_data import Heat

TEXT = 'One "two" 3\nFour "five"\n'


@pytest.fixture(scope="module")
def ask() -> Any:
    """Return a function that answers a request about an LSTM of two layers and 5 units, and takes the answer."""
    from rnn_tui.inference.inspecting import answer
    from rnn_tui.model.recurrent_model import build_model

    tokenizer = load_plugin("tokenizer", "char").train([TEXT], None)  # type: ignore[attr-defined]
    config = ModelConfig(hidden_size=5, num_layers=2, arch="lstm")
    model = build_model(load_plugin("architecture", "lstm"), {}, config, tokenizer.vocab_size)

    def take(request: Any, kind: Any) -> Any:
        events: list[Event] = []

        def say(event: str, **fields: Any) -> None:
            line = msgspec.json.encode({"id": request.id, "event": event, **fields})
            events.append(msgspec.structs.replace(msgspec.json.decode(line, type=Event), line=line))

        answer(request, model, tokenizer, say, lambda: False)
        assert all(event.event == "progress" for event in events[:-1])
        for event in events[:-1]:
            assert answers.taken(event, answers.Progress).total > 0
        return answers.taken(events[-1], kind)

    return take


def test_every_answer_is_understood(ask: Any) -> None:
    trace = ask(Read(id=1, text=TEXT), answers.Trace)
    assert "".join(trace.texts) == TEXT
    assert len(trace.surprise) == len(TEXT)
    assert trace.surprise[0] is None
    assert sum(part.units for part in trace.parts) == 20  # h and c of two layers
    survey = ask(Survey(id=2, top=1), answers.Survey)
    assert all(has_unit(trace.parts, Unit(one.part, one.unit)) for p in survey.patterns for one in p.found)
    units = ask(Units(id=3, pattern="quotes", top=3), answers.Units)
    assert len(units.found) == 3
    assert {bool(mark) for mark in units.marked} == {True, False}
    part = trace.parts[1].name
    values = ask(Values(id=4, part=part, unit=2), answers.Values)
    assert len(values.values) == len(TEXT)
    heat = ask(Map(id=5, part=part, height=5, width=len(TEXT)), answers.Map)
    shown = Heat.of(heat.rows, heat.units, heat.starts, heat.end)
    row = shown.row_of(2)
    assert row is not None
    # one unit a row and one token a column: the map holds the unit's own values, in the scale of the part
    held = [value * heat.scale for value in shown.values[row].tolist()]
    assert held == pytest.approx([value * values.scale for value in values.values], abs=2e-3)
    gates = ask(Gates(id=6), answers.Gates)
    assert len(gates.gates) == 6
    assert all(len(gate.left) == len(gate.right) == 5 for gate in gates.gates)
    reach = ask(Reach(id=7, distance=8), answers.Reach)
    assert reach.reach[0] == pytest.approx(1.0)
    assert len(reach.layers) == 2
