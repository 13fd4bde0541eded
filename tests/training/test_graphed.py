"""An update as a graph, with a stand-in that repeats operators as a CUDA graph repeats kernels."""

import sys
from pathlib import Path

import pytest
import torch
from rnn_tui_scratch.lstm import LSTM
from rnn_tui_torch.gru import TorchGRU

from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrent_model import build_model
from rnn_tui.model.state import leaves
from rnn_tui.tasks.next_token import sequence_loss
from rnn_tui.tasks.task import Batch
from rnn_tui.training import graphed
from rnn_tui.training.config import resolve
from rnn_tui.training.graphed import GraphedUpdate
from rnn_tui.training.optim import build_optimizer, settings_of
from rnn_tui.training.update import PlainUpdate

sys.path.insert(0, str(Path(__file__).parent))
from replaying import Replaying

V, B, T = 11, 4, 6


class Tokens:
    """As much of a task as an update needs."""

    def loss(self, model, batch, state):
        loss, state = sequence_loss(model, batch.inputs, batch.targets, state)
        return loss, batch.inputs.numel(), state


def made(cell=LSTM, *, optimizer="adamw", dropout=0.2, seed=1, **optim):
    """A plain update of a new model."""
    config = resolve([("test", {"optim": {"optimizer": optimizer, "clip": 0.3, **optim}})]).config
    torch.manual_seed(seed)
    # an embedding: on the CPU a one-hot vector looks at its indices, which on CUDA it does not
    model = build_model(
        cell,
        {},
        ModelConfig(hidden_size=8, num_layers=2, dropout=dropout, encoder="embedding", embedding_size=5),
        V,
    ).train()
    return PlainUpdate(config, model, build_optimizer(config.optim, model.parameters()), Tokens())


def refused(sentence):
    raise AssertionError(sentence)


def graph_of(plain, tell=refused):
    return GraphedUpdate(plain, Replaying(), tell)


def batches(count=50, rows=B, length=T):
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(V, (count, rows, length + 1), generator=generator)
    return [Batch(one[:, :-1], one[:, 1:]) for one in ids]


def rates(step):
    return 0.05 / (1 + step)


def train(update, data, *, epoch=20):
    """Train as the loop does: the state is carried and starts fresh at each epoch; return the outcomes."""
    torch.manual_seed(3)
    state, found = None, []
    for step, batch in enumerate(data):
        state = update(batch, state, rates(step))
        if (step + 1) % epoch == 0:
            state = None
        if update.full:
            found += update.outcomes()
    return found + update.outcomes()


def weights(update):
    return torch.cat([p.detach().flatten() for p in update.parameters])


def check(plain, graph, data, tolerance=2e-5):
    """Train both and compare; return the outcomes of the graph."""
    expected, found = train(plain, data), train(graph, data)
    assert [o.predicted for o in found] == [o.predicted for o in expected]
    assert [o.clipped for o in found] == [o.clipped for o in expected]
    assert [o.loss for o in found] == pytest.approx([o.loss for o in expected], rel=tolerance, nan_ok=True)
    assert [o.norm for o in found] == pytest.approx(
        [o.norm for o in expected], rel=10 * tolerance, nan_ok=True
    )
    assert torch.allclose(weights(graph._plain), weights(plain), atol=tolerance)
    return found


@pytest.mark.parametrize("cell", [LSTM, TorchGRU])
@pytest.mark.parametrize(
    "optim",
    [{}, {"optimizer": "adam", "amsgrad": True}, {"optimizer": "sgd", "momentum": 0.9}, {"clip": 0.0}],
    ids=["adamw", "amsgrad", "momentum", "no clipping"],
)
def test_training_equals_plain_updates(cell, optim):
    graph = graph_of(made(cell, **optim))
    found = check(made(cell, **optim), graph, batches())
    assert graph._recorder.recorded == 1
    assert graph._recorder.replayed == 50
    if optim != {"clip": 0.0}:
        assert {o.clipped for o in found} == {
            True,
            False,
        }  # the limit is between the norms: both ways are seen


def test_the_eager_way_can_be_recorded():
    plain, graph = made(), graph_of(made())
    graph._plain.model.select_engine("eager")
    assert graph._plain.engine()[0] == "eager"
    check(plain, graph, batches())
    assert graph._recorder.replayed == 50
    assert graph.engine()[0] == "graph"


def test_the_scale_of_the_loss_changes_nothing_but_what_can_be_told_apart(monkeypatch):
    """A power of two is exact in float32 as long as nothing is too small or too large."""
    plain = made()
    for module in ("graphed", "update"):
        monkeypatch.setattr(f"rnn_tui.training.{module}.loss_scale", lambda precision: 1024.0)
    expected = train(plain, batches())
    assert train(made(), batches()) == expected
    graph = graph_of(made())
    check(made(), graph, batches())
    assert [o.norm for o in train(graph_of(made()), batches())] == pytest.approx(
        [o.norm for o in expected], rel=2e-4
    )


def test_a_graph_equals_its_own_step_bit_for_bit():
    one, other = graph_of(made()), graph_of(made())
    other._refused = "for the test"
    assert train(one, batches()) == train(other, batches())
    assert other._recorder.recorded == 0
    assert torch.equal(weights(one._plain), weights(other._plain))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("bad", [0, 7])
def test_an_update_that_is_not_finite_is_left_out(monkeypatch, optimizer, bad):
    data = batches(12)
    marked = data[bad].inputs.clone()
    marked[0, 0] = V - 1
    data = [Batch(batch.inputs % (V - 1), batch.targets) for batch in data]
    data[bad] = Batch(marked, data[bad].targets)
    optim = {"optimizer": optimizer, "momentum": 0.9 if optimizer == "sgd" else 0.0, "dropout": 0.0}
    plain, graph = made(**optim), graph_of(made(**optim))
    for update in (plain, graph._plain):  # one token has an embedding that is not a number
        with torch.no_grad():
            update.model.encoder.weight[V - 1] = torch.nan
        update.parameters = [p for p in update.parameters if p is not update.model.encoder.weight]
        update.model.encoder.weight.requires_grad_(False)
    found = check(plain, graph, data)
    assert [step for step, outcome in enumerate(found) if not outcome.finite] == [bad]


def test_after_an_update_left_out_the_state_is_fresh():
    graph = graph_of(made())
    data = batches(2)
    state = graph(data[0], None, 0.01)
    assert any(leaf.any() for leaf in leaves(state))
    graph._bound.zero_()
    state = graph(data[1], state, 0.01)
    assert not any(leaf.any() for leaf in leaves(state))


def test_other_shapes_get_graphs_of_their_own_and_the_rest_none(monkeypatch):
    monkeypatch.setattr(graphed, "GRAPHS", 2)
    data = [*batches(4), *batches(4, length=3), *batches(4, length=4), *batches(4), *batches(2, rows=3)]
    plain, graph = made(dropout=0.0), graph_of(made(dropout=0.0))
    states = {}

    def run(update):
        torch.manual_seed(3)
        state, losses = None, []
        for step, batch in enumerate(data):
            if state is not None and len(next(leaves(state))) != len(batch.inputs):
                state = None
            state = update(batch, state, rates(step))
            losses += [outcome.loss for outcome in update.outcomes()]
        states[update] = state
        return losses

    assert run(graph) == pytest.approx(run(plain), rel=1e-5)
    assert graph._recorder.recorded == 2
    assert graph._recorder.replayed == 12


def test_rows_that_end_at_different_places_are_not_recorded():
    graph = graph_of(made())
    batch = batches(1)[0]
    graph(Batch(batch.inputs, batch.targets, torch.full((B,), T)), None, 0.01)
    assert graph._recorder.recorded == 0
    assert len(graph.outcomes()) == 1


class Asking(LSTM):
    """Looks at a number, and so makes the host wait."""

    def step(self, x, state):
        return super().step(x if x.sum().item() < 1e9 else 2 * x, state)


def test_what_cannot_be_recorded_runs_all_the_same_and_is_told_once():
    told = []
    graph = graph_of(made(Asking), told.append)
    check(made(Asking), graph, batches(20))
    assert len(told) == 1
    assert told[0].startswith(
        "no CUDA graph, because the update cannot be recorded: RuntimeError: called a synchro"
    )
    assert told[0] in graph.engine()[1]
    assert graph.engine()[0] == "loop"


def test_a_rehearsal_changes_nothing():
    rehearsed, other = graph_of(made()), graph_of(made())
    data = batches(8)
    before, generator = weights(rehearsed._plain), torch.get_rng_state()
    for _ in range(3):
        rehearsed.rehearse(data[5])
    assert torch.equal(weights(rehearsed._plain), before)
    assert torch.equal(torch.get_rng_state(), generator)
    assert train(rehearsed, data) == train(other, data)
    assert torch.equal(weights(rehearsed._plain), weights(other._plain))
    assert rehearsed._recorder.recorded == 1


def test_a_rehearsal_in_the_middle_keeps_the_state():
    graph = graph_of(made())
    first, second = batches(2)
    state = graph(first, None, 0.01)
    kept = [leaf.clone() for leaf in leaves(state)]
    graph.rehearse(second)
    assert all(torch.equal(a, b) for a, b in zip(kept, leaves(state), strict=True))
    graph(second, state, 0.01)
    expected = graph_of(made())
    state = expected(first, None, 0.01)
    expected(second, state, 0.01)
    assert graph.outcomes()[1].loss == pytest.approx(expected.outcomes()[1].loss, rel=0.2)  # dropout differs


def test_a_run_goes_on_from_what_was_saved():
    """Weights, optimiser, carried state: all of it is where a checkpoint looks for it."""
    data = batches(20)
    whole, first = graph_of(made(dropout=0.0)), graph_of(made(dropout=0.0))
    expected = train(whole, data, epoch=100)
    state = None
    for step, batch in enumerate(data[:9]):
        state = first(batch, state, rates(step))
    saved = first._plain.optimizer.state_dict() | {"param_groups": settings_of(first._plain.optimizer)}
    carried = [leaf.clone() for leaf in leaves(state)]

    plain = made(dropout=0.0)
    plain.model.load_state_dict(first._plain.model.state_dict())
    plain.optimizer.load_state_dict(saved)
    graph = graph_of(plain)
    remaining = iter(carried)
    state = tuple(type(layer)(*(next(remaining) for _ in layer)) for layer in state)
    found = []
    for step, batch in enumerate(data[9:], 9):
        state = graph(batch, state, rates(step))
        found += graph.outcomes()
    assert found == expected[9:]
    assert torch.equal(weights(plain), weights(whole._plain))


def test_settings_are_json_and_those_of_a_plain_optimizer():
    plain = made()
    before = settings_of(plain.optimizer)
    graph = graph_of(plain)
    graph(batches(1)[0], None, 0.25)
    after = settings_of(plain.optimizer)
    assert after == [group | {"lr": 0.25} for group in before]
    assert type(after[0]["lr"]) is float


def test_outcomes_wait_until_they_are_asked_for():
    graph = graph_of(made())
    data = batches(graphed.UNREAD)
    for batch in data[:-1]:
        graph(batch, None, 0.01)
    assert not graph.full
    graph(data[-1], None, 0.01)
    assert graph.full
    assert len(graph.outcomes()) == graphed.UNREAD
    assert graph.outcomes() == []
    assert not graph.full


def test_there_is_no_graph_off_cuda():
    assert graphed.graphed(made(), refused) == "a CUDA graph exists on cuda only, not on cpu"


RECORDED = {
    "model": {"arch": "lstm", "hidden_size": 16, "dropout": 0.2, "encoder": "embedding"},
    "data": {
        "seq_len": 6,
        "batch_size": 8,
    },  # so short that no weight is packed, of which a stand-in knows nothing
    "budget": {"steps": 16},
    "runtime": {"threads": 1, "device": "auto", "engine": "graph", "exact": True},
}


@pytest.fixture
def recording(monkeypatch):
    """Have runs on the CPU record their updates with the stand-in."""
    made = []

    def recorded(plain, tell):
        made.append(GraphedUpdate(plain, Replaying(), tell))
        return made[-1]

    monkeypatch.setattr("rnn_tui.training.pace.graphed", recorded)
    monkeypatch.setattr("rnn_tui.training.launch.check_device", lambda name: None)  # there is no cuda
    return made


@pytest.mark.parametrize("sampling", ["sequential", pytest.param("random", marks=pytest.mark.slow)])
def test_a_recorded_run_stopped_and_resumed_equals_undisturbed(make, text, recording, sampling):
    more = RECORDED | {"data": RECORDED["data"] | {"sampling": sampling}}
    whole, parts = make("whole", text, **more), make("parts", text, **more)
    assert whole.train() == 0
    parts.stop_at(7)
    assert parts.train() == 0
    assert parts.train() == 0
    assert parts.fingerprint() == whole.fingerprint()
    assert parts.curve() == whole.curve()
    assert [e.data["engine"] for e in parts.events() if e.kind in ("start", "resume")] == ["graph"] * 2
    assert all(update._recorder.recorded == 1 and not update._refused for update in recording)


def test_a_recorded_run_learns_what_a_plain_one_learns(make, text, recording):
    recorded, plain = make("recorded", text, **RECORDED), make("plain", text, **RECORDED)
    assert recorded.train() == 0
    recording.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnn_tui.training.pace.graphed", lambda plain, tell: "a test says so")
        assert plain.train() == 0
    assert not recording
    notes = [e.data["message"] for e in plain.events() if e.kind == "note"]
    assert "the update is not recorded as a CUDA graph: a test says so" in notes
    for one, other in zip(recorded.curve(), plain.curve(), strict=True):
        assert one[:2] == other[:2]
        if one[0] == "train":
            assert one[2:] == pytest.approx(other[2:], rel=1e-4)


def test_a_recorded_run_that_diverges_says_so(make, text, recording, monkeypatch):
    def bad(self, model, batch, state):
        loss, predicted, state = real(self, model, batch, state)
        return loss * torch.nan, predicted, state

    from rnn_tui.tasks.next_token import NextToken

    real = NextToken.loss
    monkeypatch.setattr(NextToken, "loss", bad)
    run = make("a", text, **RECORDED, divergence={"policy": "stop"})
    assert run.train() == 6
    end = run.events()[-1].data
    assert end["reason"] == "diverged"
    # read together at step 4, when a point of the curve is due
    assert [e.step for e in run.events() if e.kind == "divergence"] == [1, 2]
    assert [e.step for e in run.events() if e.kind == "train"] == [1, 2, 3]
    assert end["steps"] == 4


def test_a_recorded_run_that_goes_back_is_recorded_anew(make, text, recording, monkeypatch):
    """The optimiser's memory is another one after it was loaded; a graph that knew the old one would train on that."""
    from rnn_tui.tasks.next_token import NextToken
    from rnn_tui.training.divergence import Divergence

    spoiled = []

    def bad(self, model, batch, state):
        loss, predicted, state = real(self, model, batch, state)
        return loss * torch.nan if spoiled else loss, predicted, state

    real, go_back = NextToken.loss, Divergence.go_back
    monkeypatch.setattr(NextToken, "loss", bad)
    monkeypatch.setattr(Divergence, "go_back", lambda self: (spoiled.clear(), go_back(self))[1])
    more = {**RECORDED, "optim": {"schedule": "constant", "warmup_steps": 0, "lr": 0.004}}
    run = make("a", text, **more)
    spoiled.append(True)
    assert run.train() == 0
    assert [e.data["to_step"] for e in run.events() if e.kind == "rollback"] == [0]
    other = make("b", text, **{**more, "optim": more["optim"] | {"lr": 0.002}})
    assert other.train() == 0
    assert run.fingerprint()[:2] == other.fingerprint()[:2]


class FakeCuda:
    """What `CudaRecorder` asks of torch.cuda, noted down."""

    def __init__(self, monkeypatch, fault=None):
        self.calls, note = [], lambda *call: self.calls.append(call)
        outer = self

        class Stream:
            def __init__(self, name):
                self.name = name

            def wait_stream(self, other):
                note(self.name, "waits for", other.name)

        class Within:
            def __init__(self, *what, **how):
                self.what = what

            def __enter__(self):
                note("enter", *self.what)

            def __exit__(self, *_):
                note("leave", *self.what)

        class Graph(Within):
            def __init__(self, graph, *, pool, stream, capture_error_mode):
                super().__init__("graph", pool, stream.name, capture_error_mode)

            def __exit__(self, *_):
                super().__exit__()
                if outer.fault:
                    raise RuntimeError(outer.fault)

        class Generator:
            def clone_state(self):
                return "as it was"

            def graphsafe_set_state(self, state):
                note("generator", state)

        self.fault = fault
        self.mode = 0
        fakes = {
            "Stream": lambda device: Stream("own"),
            "graph_pool_handle": lambda: "pool",
            "current_stream": lambda device: Stream("outside"),
            "stream": lambda stream: Within("stream", stream.name),
            "CUDAGraph": lambda: type("Graph", (), {"replay": lambda self: note("replay")})(),
            "graph": Graph,
            "default_generators": (Generator(),),
            "get_sync_debug_mode": lambda: self.mode,
            "set_sync_debug_mode": lambda mode: setattr(self, "mode", mode),
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake, raising=False)


def test_a_recorder_orders_its_stream_after_and_before_the_others(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    recorder = graphed.CudaRecorder(torch.device("cuda", 0))
    with recorder.apart():
        cuda.calls.append("within")
        replay = recorder.record(lambda: cuda.calls.append("step"))
        replay()
    assert cuda.calls == [
        ("own", "waits for", "outside"),
        ("enter", "stream", "own"),
        "within",
        ("enter", "graph", "pool", "own", "thread_local"),
        "step",
        ("leave", "graph", "pool", "own", "thread_local"),
        ("replay",),
        ("leave", "stream", "own"),
        ("outside", "waits for", "own"),
    ]


def test_after_a_recording_that_failed_the_generator_and_the_streams_are_as_before(monkeypatch):
    cuda = FakeCuda(monkeypatch, fault="capture invalidated")
    recorder = graphed.CudaRecorder(torch.device("cuda", 0))
    with pytest.raises(RuntimeError, match="capture invalidated"), recorder.apart():
        recorder.record(lambda: None)
    assert cuda.calls[-3:] == [
        ("generator", "as it was"),
        ("leave", "stream", "own"),
        ("outside", "waits for", "own"),
    ]


def test_waiting_is_an_error_in_strict_mode_only(monkeypatch):
    cuda = FakeCuda(monkeypatch)
    recorder = graphed.CudaRecorder(torch.device("cuda", 0))
    with recorder.strict():
        assert cuda.mode == "error"
    assert cuda.mode == 0
