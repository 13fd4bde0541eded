"""What figures are held against: the loops of the classic tutorials, and torch's own modules used plainly.

The loops are those of Zhang et al., "Dive into Deep Learning" (d2l.ai, "from scratch"): one-hot input, a matrix for
each gate, a Python loop over time, the output product at every position, the gradient clipped by a Python sum; sampled
with autograd on, a softmax and a draw for each token. They are kept as they are taught and not made faster.

torch's modules are given the best of the rest: either form of input, our optimiser and our way of clipping, no
autograd while sampling.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tui.model.recurrent_model import Embedding, OneHot
from rnn_tui.training.config import OptimConfig
from rnn_tui.training.optim import build_optimizer, clip_gradients

Kind = Literal["lstm", "gru", "rnn"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Form = Literal["one-hot", "embedding"]
"""How a token enters."""

TEMPERATURE = 0.8
TOKENS = 25
"""Tokens that one call of a sampling baseline draws."""


class TutorialRNN(nn.Module):
    """h' = tanh(x W_xh + h W_hh + b_h)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.W_xh, self.W_hh, self.b_h = _triple(input_size, hidden_size)

    def forward(
        self, inputs: list[Tensor], state: tuple[Tensor, ...]
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """T inputs (B, I) and (h,) to T outputs (B, H) and the state after them."""
        (h,) = state
        outputs = []
        for x in inputs:
            h = torch.tanh(x @ self.W_xh + h @ self.W_hh + self.b_h)
            outputs.append(h)
        return outputs, (h,)


class TutorialGRU(nn.Module):
    """n = tanh(x W_xn + (r * h) W_hn + b_n), h' = z * h + (1 - z) * n."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.W_xz, self.W_hz, self.b_z = _triple(input_size, hidden_size)
        self.W_xr, self.W_hr, self.b_r = _triple(input_size, hidden_size)
        self.W_xn, self.W_hn, self.b_n = _triple(input_size, hidden_size)

    def forward(
        self, inputs: list[Tensor], state: tuple[Tensor, ...]
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """As `TutorialRNN`."""
        (h,) = state
        outputs = []
        for x in inputs:
            z = torch.sigmoid(x @ self.W_xz + h @ self.W_hz + self.b_z)
            r = torch.sigmoid(x @ self.W_xr + h @ self.W_hr + self.b_r)
            n = torch.tanh(x @ self.W_xn + (r * h) @ self.W_hn + self.b_n)
            h = z * h + (1 - z) * n
            outputs.append(h)
        return outputs, (h,)


class TutorialLSTM(nn.Module):
    """c' = f * c + i * g, h' = o * tanh(c')."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.W_xi, self.W_hi, self.b_i = _triple(input_size, hidden_size)
        self.W_xf, self.W_hf, self.b_f = _triple(input_size, hidden_size)
        self.W_xo, self.W_ho, self.b_o = _triple(input_size, hidden_size)
        self.W_xc, self.W_hc, self.b_c = _triple(input_size, hidden_size)

    def forward(
        self, inputs: list[Tensor], state: tuple[Tensor, ...]
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """As `TutorialRNN`, the state being (h, c)."""
        h, c = state
        outputs = []
        for x in inputs:
            i = torch.sigmoid(x @ self.W_xi + h @ self.W_hi + self.b_i)
            f = torch.sigmoid(x @ self.W_xf + h @ self.W_hf + self.b_f)
            o = torch.sigmoid(x @ self.W_xo + h @ self.W_ho + self.b_o)
            g = torch.tanh(x @ self.W_xc + h @ self.W_hc + self.b_c)
            c = f * c + i * g
            h = o * torch.tanh(c)
            outputs.append(h)
        return outputs, (h, c)


def _triple(input_size: int, hidden_size: int) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
    return (
        nn.Parameter(torch.randn(input_size, hidden_size) * 0.01),
        nn.Parameter(torch.randn(hidden_size, hidden_size) * 0.01),
        nn.Parameter(torch.zeros(hidden_size)),
    )


_LAYERS = {"lstm": TutorialLSTM, "gru": TutorialGRU, "rnn": TutorialRNN}
_MODULES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Tutorial(nn.Module):
    """A language model of the tutorials: layers of one kind between one-hot vectors and an output product."""

    def __init__(self, kind: Kind, vocab_size: int, hidden_size: int, num_layers: int = 1) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        widths = [vocab_size, *[hidden_size] * (num_layers - 1)]
        self.layers = nn.ModuleList(_LAYERS[kind](width, hidden_size) for width in widths)
        self.leaves = 2 if kind == "lstm" else 1
        self.W_hq = nn.Parameter(torch.randn(hidden_size, vocab_size) * 0.01)
        self.b_q = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """ids (B, T) and the state of each layer, zeros for None, to logits (B, T, V) and the state."""
        outputs = list(functional.one_hot(ids.T, self.vocab_size).float())  # T times (B, V)
        if state is None:
            zeros = outputs[0].new_zeros(len(ids), len(self.W_hq))
            state = [(zeros,) * self.leaves for _ in self.layers]
        after = []
        for layer, before in zip(self.layers, state, strict=True):
            outputs, inner = layer(outputs, before)
            after.append(inner)
        return torch.stack([h @ self.W_hq + self.b_q for h in outputs], 1), after


class TorchModel(nn.Module):
    """nn.LSTM, nn.GRU or nn.RNN between an encoder and a linear head."""

    def __init__(
        self,
        kind: Kind,
        form: Form,
        vocab_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        tied: bool = False,
    ) -> None:
        """
        Args:
            tied: the head shares the embedding's weight.
        """
        super().__init__()
        self.encoder = OneHot(vocab_size) if form == "one-hot" else Embedding(vocab_size, hidden_size)
        self.core = _MODULES[kind](self.encoder.output_size, hidden_size, num_layers, batch_first=True)
        self.head = nn.Linear(hidden_size, vocab_size)
        if tied:
            assert isinstance(self.encoder, Embedding)
            self.head.weight = self.encoder.weight

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """ids (B, T) to logits (B, T, V) and the state."""
        ys, state = self.core(self.encoder(ids), state)
        return self.head(ys), state


def tutorial_updates(model: Tutorial, ids: Tensor) -> Callable[[], float]:
    """Return a function that does one update on the windows `ids` (B, T + 1) and returns their tokens."""
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, 1.0)

    def update() -> float:
        loss = _loss(model, ids)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        clip(parameters, 1.0)
        optimizer.step()
        loss.item()
        return ids[:, 1:].numel()

    return update


def torch_updates(model: TorchModel, ids: Tensor) -> Callable[[], float]:
    """As `tutorial_updates`, with the optimiser and the clipping that our own models get."""
    parameters = list(model.parameters())
    optimizer = build_optimizer(OptimConfig(), parameters)

    def update() -> float:
        loss = _loss(model, ids)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        clip_gradients(parameters, 1.0)
        optimizer.step()
        loss.item()
        return ids[:, 1:].numel()

    return update


def _loss(model: Tutorial | TorchModel, ids: Tensor) -> Tensor:
    logits, _ = model(ids[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def clip(parameters: list[nn.Parameter], limit: float) -> None:
    """Clip the way it is taught: a Python sum, and a multiplication for each tensor."""
    norm = torch.sqrt(sum(torch.sum(p.grad**2) for p in parameters))  # type: ignore[operator,arg-type,misc]
    if norm > limit:
        for p in parameters:
            p.grad[:] *= limit / norm  # type: ignore[index]


def draws(model: Tutorial | TorchModel, batch_size: int = 1, *, autograd: bool = True) -> Callable[[], float]:
    """Return a function that draws `TOKENS` tokens for each of `batch_size` rows and returns how many that were.

    Args:
        autograd: keep the graph of the draws, as the tutorials do; else it runs under inference mode.
    """

    device = next(model.parameters()).device

    def run() -> float:
        with nullcontext() if autograd else torch.inference_mode():
            state, token = None, torch.zeros(batch_size, 1, dtype=torch.long, device=device)
            for _ in range(TOKENS):
                logits, state = model(token, state)
                token = torch.multinomial(functional.softmax(logits[:, -1] / TEMPERATURE, -1), 1)
                token.tolist()  # each is shown when it is drawn
        return TOKENS * batch_size

    return run
