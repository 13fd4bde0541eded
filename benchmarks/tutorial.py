"""The loop of the classic notes, kept as the baseline that figures are held against: one-hot input, one matrix for
each gate, a Python loop over time, the output product at every step; and its way of sampling."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TutorialLSTM(nn.Module):
    """An LSTM written the way it is taught (d2l, "LSTM from scratch")."""

    def __init__(self, vocab_size: int, hidden_size: int) -> None:
        super().__init__()
        self.vocab_size, self.hidden_size = vocab_size, hidden_size
        for gate in "ifoc":
            setattr(self, f"W_x{gate}", nn.Parameter(torch.randn(vocab_size, hidden_size) * 0.01))
            setattr(self, f"W_h{gate}", nn.Parameter(torch.randn(hidden_size, hidden_size) * 0.01))
            setattr(self, f"b_{gate}", nn.Parameter(torch.zeros(hidden_size)))
        self.W_hq = nn.Parameter(torch.randn(hidden_size, vocab_size) * 0.01)
        self.b_q = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, ids: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """ids (B, T) -> logits (T * B, V)."""
        h, c = state
        outputs = []
        for x in functional.one_hot(ids.T, self.vocab_size).float():  # T times (B, V)
            i = torch.sigmoid(x @ self.W_xi + h @ self.W_hi + self.b_i)
            f = torch.sigmoid(x @ self.W_xf + h @ self.W_hf + self.b_f)
            o = torch.sigmoid(x @ self.W_xo + h @ self.W_ho + self.b_o)
            g = torch.tanh(x @ self.W_xc + h @ self.W_hc + self.b_c)
            c = f * c + i * g
            h = o * torch.tanh(c)
            outputs.append(h @ self.W_hq + self.b_q)
        return torch.cat(outputs), (h, c)

    def start(self, batch_size: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(batch_size, self.hidden_size), torch.zeros(batch_size, self.hidden_size)


def clip(parameters: list[nn.Parameter], limit: float) -> None:
    """Clip the way it is taught: a Python sum, and a multiplication for each tensor."""
    norm = torch.sqrt(sum(torch.sum(p.grad**2) for p in parameters))  # type: ignore[operator,arg-type]
    if norm > limit:
        for p in parameters:
            p.grad[:] *= limit / norm  # type: ignore[index]
