"""States that were kept, beside those of the model stepped token by token."""

import shutil
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch.nn import functional

from rnn_tui.errors import DivergedError, UsageError
from rnn_tui.inference import recording
from rnn_tui.inference import trace as tracing
from rnn_tui.inference.parts import leaf_names
from rnn_tui.inference.trace import read_trace, strands_of
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence import Stack, Unroll
from rnn_tui.model.recurrent_model import Embedding, OneHot, RecurrentModel, build_model
from rnn_tui.plugin.core import Cell
from rnn_tui.plugin.registry import load_plugin
from rnn_tui.plugin.state import leaves

TEXT = "the quick brown fox\n" * 3
NAMES = {
    "lstm": ["h", "c"],
    "nn-lstm": ["h", "c"],
    "gru": ["state"],
    "nn-gru": ["state"],
    "rnn": ["state"],
    "nn-rnn": ["state"],
}


@pytest.fixture
def tokenizer(char_tokenizer):
    return char_tokenizer(TEXT)


def build(arch, tokenizer, **settings):
    torch.manual_seed(0)
    config = ModelConfig(arch=arch, hidden_size=9, **settings)
    return build_model(load_plugin("architecture", arch), {}, config, tokenizer.vocab_size)


def stepped(model, ids):
    """The leaves of all layers after each token (T, units) each, and what each token cost."""
    states, surprise, state, logits = [], [], model.initial_state(1), None
    with torch.no_grad():
        for token in ids:
            if logits is not None:
                surprise.append(-float(functional.log_softmax(logits, -1)[0, token]))
            logits, state = model.step(torch.tensor([token]), state)
            states.append([leaf.flatten() for leaf in leaves(state)])
    return [torch.stack(leaf).numpy() for leaf in zip(*states, strict=True)], surprise


@pytest.mark.parametrize(
    ("arch", "way", "layers"),
    [*((arch, "loop", 2) for arch in NAMES), ("lstm", "eager", 1), ("nn-gru", "eager", 1)],
)
def test_states_and_surprise_are_those_of_the_steps(arch, way, layers, tokenizer, monkeypatch, no_compiler):
    monkeypatch.setattr(tracing, "PATIENCE", 1e9 if way == "loop" else -1)
    monkeypatch.setattr(tracing, "WINDOW", 16)
    model = build(arch, tokenizer, num_layers=layers, dropout=0.5).train()
    told = []
    trace = read_trace(model, strands_of(model), tokenizer, TEXT, progress=lambda *args: told.append(args))
    assert model.training
    assert {strand.recorder.rung for strand in trace.strands} == {way}
    assert [part.name for part in trace.parts] == [
        f"layer {n} {name}" for n in range(1, layers + 1) for name in NAMES[arch]
    ]
    assert [part.units for part in trace.parts] == [9] * len(trace.parts)

    states, surprise = stepped(model.eval(), tokenizer.encode(TEXT).tolist())
    for part, expected in zip(trace.parts, states, strict=True):
        assert part.values.dtype == np.float32
        assert part.values == pytest.approx(expected, abs=1e-5)
    assert np.isnan(trace.surprise[0])
    assert trace.surprise[1:] == pytest.approx(surprise, abs=1e-5)
    assert "".join(trace.texts) == TEXT
    assert (len(trace), trace.left_out, trace.unknown) == (60, 0, ())
    assert told[0] == ("reading", 16, 60 * layers)
    assert told[-1] == ("reading", 60 * layers, 60 * layers)


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_a_long_text_is_read_by_compiled_code(tokenizer, monkeypatch):
    monkeypatch.setattr(tracing, "PATIENCE", -1)
    monkeypatch.setattr(tracing, "WINDOW", 16)
    model = build("gru", tokenizer).eval()
    strands = strands_of(model)
    trace = read_trace(model, strands, tokenizer, TEXT)
    assert strands[0].recorder.rung == "compiled"
    [state], surprise = stepped(model, trace.ids.tolist())
    assert trace.parts[0].values == pytest.approx(state, abs=1e-5)
    again = read_trace(model, strands, tokenizer, TEXT[3:])  # from the start by compiled code
    [state], surprise = stepped(model, again.ids.tolist())
    assert again.parts[0].values == pytest.approx(state, abs=1e-5)
    assert again.surprise[1:] == pytest.approx(surprise, abs=1e-5)


@pytest.mark.parametrize("why", ["cannot be traced", "gives something else"])
def test_a_step_that_no_faster_way_is_right_for_stays_on_the_loop(
    why, odd, tokenizer, monkeypatch, no_compiler
):
    monkeypatch.setattr(tracing, "PATIENCE", -1)
    monkeypatch.setattr(tracing, "WINDOW", 3)

    def wrong(plan, cell, xs, state, reset):
        return torch.full((1, xs.shape[1], cell.output_size), 0.5), state

    if why == "cannot be traced":
        monkeypatch.setattr(recording, "make_plan", lambda *_: 1 / 0)
    else:
        monkeypatch.setattr(recording.eager, "run", wrong)
    strands = strands_of(odd)
    trace = read_trace(odd, strands, tokenizer, "the quick")
    assert strands[0].recorder.rung == "loop"
    assert trace.parts[1].values[:, 0].tolist() == list(range(8, 17))


def test_both_directions(tokenizer, monkeypatch):
    monkeypatch.setattr(tracing, "WINDOW", 16)
    model = build("lstm", tokenizer, num_layers=2, bidirectional=True).eval()
    trace = read_trace(model, strands_of(model), tokenizer, TEXT, labels=True)
    assert [part.name for part in trace.parts][:3] == [
        "layer 1 forwards h",
        "layer 1 forwards c",
        "layer 1 backwards h",
    ]
    xs = model.encoder(torch.from_numpy(trace.ids))[None]  # (1, T, V)
    with torch.no_grad():
        for layer, core in enumerate(model.core.cores):
            xs, _ = core(xs, core.initial_state(1))  # the output of an LSTM is its h
            assert trace.parts[4 * layer].values == pytest.approx(xs[0, :, :9].numpy(), abs=1e-5)
            assert trace.parts[4 * layer + 2].values == pytest.approx(xs[0, :, 9:].numpy(), abs=1e-5)
    assert np.isnan(trace.surprise).all()  # a model of labels predicts no text


def test_a_state_is_that_before_the_token(tokenizer):
    model = build("lstm", tokenizer, bidirectional=True).eval()
    trace = read_trace(model, strands_of(model), tokenizer, TEXT)
    h, c = trace.state_before(0, np.array([0, 5]), torch.device("cpu"))
    assert not h[0].any()
    assert c[1].tolist() == trace.parts[1].values[4].tolist()
    h, _ = trace.state_before(1, np.array([0, 59]), torch.device("cpu"))  # backwards
    assert h[0].tolist() == trace.parts[2].values[1].tolist()
    assert not h[1].any()


class Fast(NamedTuple):
    matrix: torch.Tensor
    rest: tuple


class Odd(Cell):
    """A state with a matrix that decays, a count and a dict that changes its order."""

    def __init__(self, size):
        super().__init__()
        self.output_size = size

    def initial_state(self, batch_size, *, device=None, dtype=None):
        count = torch.full((batch_size,), 7, dtype=torch.int64)
        return Fast(
            torch.ones(batch_size, 2, 3),
            (count, {"a": torch.zeros(batch_size, 1), "b": torch.ones(batch_size, 1)}),
        )

    def step(self, x, state):
        count, memory = state.rest
        return x, Fast(state.matrix / 2, (count + 1, {"b": memory["b"], "a": memory["a"] + 1}))


@pytest.fixture
def odd(tokenizer):
    size = tokenizer.vocab_size
    return RecurrentModel(OneHot(size), Stack([Unroll(Odd(size), size)]), size, dropout=0.0, tied=False)


def test_any_structure_of_a_state(odd, tokenizer):
    trace = read_trace(odd, strands_of(odd), tokenizer, "the ")
    values = {part.name: part.values for part in trace.parts}
    assert list(values) == [
        f"layer 1 {name}" for name in ("matrix", "rest.state 1", "rest.state 2.a", "rest.state 2.b")
    ]
    assert values["layer 1 matrix"].tolist() == [[2.0**-n] * 6 for n in (1, 2, 3, 4)]
    assert values["layer 1 rest.state 1"].tolist() == [[8], [9], [10], [11]]
    assert values["layer 1 rest.state 2.a"].tolist() == [[1], [2], [3], [4]]
    before = trace.state_before(0, np.array([0, 2]), torch.device("cpu"))
    assert before.matrix[:, 1, 2].tolist() == [1, 0.25]
    assert before.rest[0].tolist() == [7, 9]
    assert before.rest[0].dtype == torch.int64
    assert (trace.part("layer 1 matrix").ends, trace.part("layer 1 matrix").bounded) == ((0.0625, 0.5), True)
    assert not trace.part("layer 1 rest.state 1").bounded
    with pytest.raises(
        UsageError, match="the model has no part 'layer 1 h'; it has layer 1 matrix, layer 1 rest"
    ):
        trace.part("layer 1 h")


def test_names_of_leaves():
    one = torch.zeros(1, 1)
    assert leaf_names(one) == ["state"]
    assert leaf_names((one, one)) == ["state 1", "state 2"]
    assert leaf_names({"x": (one,), "y": one}) == ["x.state 1", "y"]


def test_what_is_too_long_is_left_out(odd, tokenizer, monkeypatch):
    monkeypatch.setattr(tracing, "TOKENS", 30)
    trace = read_trace(odd, strands_of(odd), tokenizer, TEXT)
    assert (len(trace), trace.left_out, "".join(trace.texts)) == (30, 30, TEXT[:30])
    monkeypatch.setattr(tracing, "MEMORY", 4 * 9 * 12 + 35)  # nine numbers in the state
    trace = read_trace(odd, strands_of(odd), tokenizer, TEXT)
    assert (len(trace), trace.left_out, trace.bytes) == (12, 48, 4 * 9 * 12)


def test_unknown_symbols_and_characters_of_several_tokens(odd, tokenizer, spelling, byte_tokenizer):
    trace = read_trace(odd, strands_of(odd), tokenizer, "tßh")
    assert trace.unknown == ("ß",)
    assert trace.ids[1] == tokenizer.unknown_id
    model = spelling("aé")
    trace = read_trace(model, strands_of(model), byte_tokenizer, "aé")
    assert trace.texts == ("a", "", "é")


def test_a_text_that_cannot_be_read(odd, tokenizer):
    with pytest.raises(UsageError, match="no text to read"):
        read_trace(odd, strands_of(odd), tokenizer, "")
    with torch.no_grad():
        odd.head.bias.fill_(torch.nan)
    with pytest.raises(DivergedError):
        read_trace(odd, strands_of(odd), tokenizer, "the")


class Stateless(Odd):
    def initial_state(self, batch_size, *, device=None, dtype=None):
        return ()

    def step(self, x, state):
        return 2 * x, state


def test_layers_without_a_state(tokenizer):
    size = tokenizer.vocab_size

    def model(*cells):
        return RecurrentModel(
            OneHot(size), Stack([Unroll(cell, size) for cell in cells]), size, dropout=0.0, tied=False
        )

    some = model(Stateless(size), Odd(size))
    trace = read_trace(some, strands_of(some), tokenizer, "the ")
    assert trace.parts[0].name == "layer 2 matrix"
    _, surprise = stepped(some, trace.ids.tolist())
    assert trace.surprise[1:] == pytest.approx(surprise, abs=1e-6)
    none = model(Stateless(size))
    with pytest.raises(UsageError, match="the model has no state"):
        read_trace(none, strands_of(none), tokenizer, "the ")


def test_reading_ends_when_told_so(tokenizer, monkeypatch):
    monkeypatch.setattr(tracing, "WINDOW", 16)
    model = build("rnn", tokenizer)
    told = []

    def enough(what, done, total):
        told.append(done)
        if done >= 32:
            raise tracing.Cancelled("cancelled")

    with pytest.raises(tracing.Cancelled):
        read_trace(model, strands_of(model), tokenizer, TEXT, progress=enough)
    assert told == [16, 32]


def test_embedding_and_large_vocabulary(tokenizer, monkeypatch):
    monkeypatch.setattr(tracing, "NUMBERS_AT_ONCE", 3 * tokenizer.vocab_size)  # windows of three tokens
    model = build("lstm", tokenizer, encoder="embedding", embedding_size=5).eval()
    assert isinstance(model.encoder, Embedding)
    trace = read_trace(model, strands_of(model), tokenizer, TEXT)
    states, surprise = stepped(model, trace.ids.tolist())
    assert trace.parts[1].values == pytest.approx(states[1], abs=1e-5)
    assert trace.surprise[1:] == pytest.approx(surprise, abs=1e-5)
