"""What the scan is worth: `python benchmark.py`, two minutes. The figures are in the README.

Times are of forward and backward, the least of five turns; each form has its turn in every round, so that a busy moment
hits all alike.
"""

import time
from collections.abc import Callable

import torch
from rnn_tui_mingru import MinGRU
from rnn_tui_mingru.scan import scan
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 256
ROUNDS = 5


def loop(keep: Tensor, write: Tensor, start: Tensor) -> Tensor:
    """One position after the other, each recorded by autograd."""
    hs = []
    h = start
    for k, w in zip(keep.unbind(1), write.unbind(1), strict=True):
        h = torch.addcmul(w, k, h)
        hs.append(h)
    return torch.stack(hs, 1)


def doubling(keep: Tensor, write: Tensor, start: Tensor) -> Tensor:
    """Hillis and Steele: log2(T) passes over the whole sequence."""
    write = torch.cat([write[:, :1] + keep[:, :1] * start.unsqueeze(1), write[:, 1:]], 1)
    span = 1
    while span < write.shape[1]:
        write = torch.cat(
            [write[:, :span], torch.addcmul(write[:, span:], keep[:, span:], write[:, :-span])], 1
        )
        keep = torch.cat([keep[:, :span], keep[:, span:] * keep[:, :-span]], 1)
        span *= 2
    return write


def logarithms(keep: Tensor, write: Tensor, start: Tensor) -> Tensor:
    """The paper's: sums of logarithms; for numbers above 0."""
    kept = functional.pad(keep.log().cumsum(1), (0, 0, 1, 0))
    written = torch.cat([start.unsqueeze(1), write], 1).log()
    return (kept + torch.logcumsumexp(written - kept, 1)).exp()[:, 1:]


def seconds(runs: list[Callable[[], Tensor]]) -> list[float]:
    least = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for index, run in enumerate(runs):
            begin = time.perf_counter()
            run().sum().backward()  # type: ignore[no-untyped-call]
            least[index] = min(least[index], time.perf_counter() - begin)
    return least


def compare_scans(rows: int, positions: int) -> None:
    torch.manual_seed(0)
    keep = torch.sigmoid(torch.randn(rows, positions, WIDTH))
    write = (1 - keep) * torch.rand_like(keep)
    inputs = [tensor.requires_grad_() for tensor in (keep, write.detach(), torch.rand(rows, WIDTH))]
    exact = loop(*(tensor.double() for tensor in inputs))
    exact_grad = torch.autograd.grad(exact.sum(), inputs)[0]
    forms = (scan, doubling, logarithms, loop)
    times = seconds([lambda form=form: form(*inputs) for form in forms])  # type: ignore[misc]
    for form, taken in zip(forms, times, strict=True):
        hs = form(*inputs)
        error = (hs - exact).abs().max().item()
        grad_error = (torch.autograd.grad(hs.sum(), inputs)[0] - exact_grad).abs().max().item()
        print(
            f"{rows:4} {positions:9}  {form.__name__:10} {taken * 1e3:9.2f} ms  {error:.0e}  {grad_error:.0e}"
        )


def compare_layers(rows: int, positions: int) -> None:
    torch.manual_seed(0)
    xs = torch.randn(rows, positions, WIDTH)
    core, gru = MinGRU(WIDTH, WIDTH), nn.GRU(WIDTH, WIDTH, batch_first=True)

    def steps() -> Tensor:
        state, ys = core.initial_state(rows), []
        for x in xs.unbind(1):
            y, state = core.step(x, state)
            ys.append(y)
        return torch.stack(ys, 1)

    own, stepped, torchs = seconds([lambda: core(xs, core.initial_state(rows))[0], steps, lambda: gru(xs)[0]])
    print(f"{rows:4} {positions:9}  {own * 1e3:9.2f} ms  {stepped / own:5.1f}  {torchs / own:5.1f}")


def main() -> None:
    torch.set_num_threads(1)
    print("the scan alone, width 256\nrows positions  form            time   error of h and of the gradient")
    for rows, positions in ((1, 64), (1, 512), (1, 4096), (32, 64), (32, 512)):
        compare_scans(rows, positions)
    print("\nthe layer, 256 wide\nrows positions     minGRU    times as fast as its steps, as nn.GRU")
    for rows, positions in ((32, 64), (8, 256), (4, 1024), (1, 64), (1, 512), (1, 4096)):
        compare_layers(rows, positions)


if __name__ == "__main__":
    main()
