"""A model as a short script in plain torch has it: nn.Embedding, one nn.LSTM, nn.GRU or nn.RNN, and nn.Linear."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tui.errors import PluginError, UsageError
from rnn_tui.model.recurrence import Bidirectional, Unroll
from rnn_tui.model.recurrent_model import Embedding, RecurrentModel, Values
from rnn_tui.plugin.core import Cell, Core
from rnn_tui.plugin.loading import describe_error

KINDS: dict[str, Callable[..., nn.RNNBase]] = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
WAYS = ("", "_reverse")
"""What the names of a layer's tensors end in, forwards and backwards."""

TOLERANCE = 1e-4
"""Of the largest output, or of 1 where that is smaller. Trained models differed by a hundredth of it at most, from the
order of sums in float32."""

SHAPES = ((1, 1), (3, 7), (2, 33))
"""Rows and positions of a trial."""


class Twin(nn.Module):
    """The same function as a `RecurrentModel`, in modules of torch alone.

    Attributes:
        embedding: None where tokens enter as one-hot vectors, and where numbers do.
        rnn: all layers; `batch_first`.
    """

    def __init__(self, embedding: nn.Embedding | None, rnn: nn.RNNBase, head: nn.Linear) -> None:
        super().__init__()
        self.embedding = embedding
        self.rnn = rnn
        self.head = head

    @property
    def kind(self) -> str:
        """`LSTM`, `GRU` or `RNN`."""
        return type(self.rnn).__name__

    def forward(self, inputs: Tensor) -> Tensor:
        """Ids, int64 (B, T), to logits (B, T, V), or numbers (B, T, C) to numbers; from zeros as the state before."""
        if inputs.is_floating_point():
            xs = inputs
        elif self.embedding is None:
            xs = functional.one_hot(inputs, self.rnn.input_size).to(self.head.weight.dtype)
        else:
            xs = self.embedding(inputs)
        outputs: Tensor = self.head(self.rnn(xs)[0])
        return outputs


def twin_of(model: RecurrentModel, owner: str) -> tuple[Twin, float]:
    """Return a model in plain torch, with copies of the weights, and the `difference` of the two, which is rounding.

    Args:
        owner: whose layers they are, as it begins messages: `"architecture gru (rnn-tui 0.1.0)"`.

    Raises:
        UsageError: when the layers have no equal in torch.nn; says why.
        PluginError: when they say that they have, and it is not so.
    """
    with torch.random.fork_rng(devices=[]):  # its weights are drawn, and then replaced
        layers = [
            [_layer_of(way, owner) for way in _ways(core)]
            for core in model.core.cores  # from the lowest up
        ]
        rnn = _joined(layers, owner).to(model.head.weight)
        embedding = None
        if isinstance(model.encoder, Embedding):
            embedding = nn.Embedding(model.output_size, model.encoder.output_size).to(model.head.weight)
            embedding.load_state_dict(model.encoder.state_dict())
        head = nn.Linear(model.core.output_size, model.output_size).to(model.head.weight)
        head.load_state_dict(model.head.state_dict())
    twin = Twin(embedding, rnn, head).eval()
    wrong = f"{owner}: its to_nn gives a layer of torch.nn that computes something else"
    return twin, difference(model, twin, wrong)


@torch.inference_mode()
def difference(model: RecurrentModel, twin: Twin, wrong: str) -> float:
    """Return by how much the outputs of the two differ at most, on a few inputs.

    Raises:
        PluginError: when that is more than rounding; the message is `wrong` and the figure.
    """
    generator = torch.Generator().manual_seed(1)
    largest = 0.0
    for shape in SHAPES:
        inputs = trial_inputs(model, shape, generator)
        features, _ = model(inputs, model.initial_state(shape[0]))
        expected = model.outputs(features)
        found = float((twin(inputs) - expected).abs().max())
        # written so that NaN is refused, too
        if not found <= TOLERANCE * max(1.0, float(expected.abs().max())):
            raise PluginError(f"{wrong} (outputs differ by {found:.2g})")
        largest = max(largest, found)
    return largest


def trial_inputs(model: RecurrentModel, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return something for a model to read: ids of that shape, or numbers with one more dimension."""
    if isinstance(model.encoder, Values):
        return torch.randn(*shape, model.output_size, generator=generator)
    return torch.randint(model.output_size, shape, generator=generator)


def cell_of(core: Core) -> Cell | Core:
    """Return what the plugin made: the host's own way over time is taken off a Cell."""
    return core.cell if isinstance(core, Unroll) else core


def _ways(core: Core) -> Sequence[Core]:
    return (core.forwards, core.backwards) if isinstance(core, Bidirectional) else (core,)


def cells(model: RecurrentModel) -> Iterator[tuple[int, str, Cell | Core]]:
    """Yield what the plugin made, with its layer's number and an entry of `WAYS`, the lowest layer first."""
    for index, core in enumerate(model.core.cores):
        for suffix, way in zip(WAYS, _ways(core), strict=False):  # one way, or both
            yield index, suffix, cell_of(way)


def _layer_of(core: Core, owner: str) -> nn.RNNBase:
    cell = cell_of(core)
    try:
        layer = cell.to_nn()
    except NotImplementedError as error:
        raise UsageError(f"{owner} has no equal in torch.nn: {error}") from None
    except Exception as error:
        raise PluginError(f"{owner}: its to_nn fails: {describe_error(error)}") from error
    wanted = {
        "num_layers": 1,
        "bias": True,
        "batch_first": True,
        "bidirectional": False,
        "proj_size": 0,
        "input_size": core.input_size,
        "hidden_size": core.output_size,
    }
    if type(layer) not in KINDS.values():
        raise PluginError(
            f"{owner}: its to_nn gives a {type(layer).__name__}, not an nn.LSTM, nn.GRU or nn.RNN"
        )
    for name, value in wanted.items():
        if getattr(layer, name) != value:
            raise PluginError(
                f"{owner}: its to_nn gives a layer with {name}={getattr(layer, name)}, not {value}"
            )
    return layer


def empty_rnn(
    kind: str, input_size: int, hidden_size: int, num_layers: int, *, bidirectional: bool, nonlinearity: str
) -> nn.RNNBase:
    """Return the layers of a `Twin`, with weights drawn from torch's global generator."""
    more = {"nonlinearity": nonlinearity} if kind == "RNN" else {}
    return KINDS[kind](
        input_size,
        hidden_size,
        num_layers=num_layers,
        bidirectional=bidirectional,
        batch_first=True,
        **more,
    )


def nonlinearity_of(rnn: nn.RNNBase) -> str:
    """Return `tanh` or `relu`; the layers with gates have tanh."""
    return rnn.nonlinearity if isinstance(rnn, nn.RNN) else "tanh"


@torch.no_grad()
def _joined(layers: Sequence[Sequence[nn.RNNBase]], owner: str) -> nn.RNNBase:
    """Return single layers as one of several."""
    first = layers[0][0]
    if len({(type(way), nonlinearity_of(way)) for ways in layers for way in ways}) > 1:
        raise PluginError(f"{owner}: its to_nn gives layers of different kinds")
    whole = empty_rnn(
        type(first).__name__,
        first.input_size,
        first.hidden_size,
        len(layers),
        bidirectional=len(layers[0]) == 2,
        nonlinearity=nonlinearity_of(first),
    )
    for index, ways in enumerate(layers):
        for way, suffix in zip(ways, WAYS, strict=False):
            for part in PARTS:
                getattr(whole, f"{part}_l{index}{suffix}").copy_(getattr(way, f"{part}_l0"))
    return whole


@torch.no_grad()
def taken_apart(rnn: nn.RNNBase, index: int, suffix: str) -> nn.RNNBase:
    """Return one layer in one direction as `Cell.from_nn` takes it."""
    width = getattr(rnn, f"weight_ih_l{index}").shape[1]
    layer = empty_rnn(
        type(rnn).__name__, width, rnn.hidden_size, 1, bidirectional=False, nonlinearity=nonlinearity_of(rnn)
    )
    for part in PARTS:
        getattr(layer, f"{part}_l0").copy_(getattr(rnn, f"{part}_l{index}{suffix}"))
    return layer
