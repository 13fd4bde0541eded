"""The debiased exponential moving average, continued as a curve grows."""

import math

import numpy as np

from rnn_tui.tui.widgets.scales import Floats

_BLOCK = 64


class Smoother:
    """`a_t = weight · a_(t-1) + (1 - weight) · v_t` from a_0 = 0, divided by `1 - weight^t`, as TensorBoard has it.

    Args:
        weight: 0 (no smoothing) to below 1.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self._average = 0.0
        self._count = 0

    def extend(self, values: Floats) -> Floats:
        """Return the smoothed values of the next points, which must be finite.

        Args:
            values: (n,).
        """
        weight, n = self.weight, len(values)
        if weight <= 0 or not n:
            return values.copy()
        blocks = -(-n // _BLOCK)
        padded = np.zeros(blocks * _BLOCK)
        padded[:n] = values
        # Within a block sums over 2, 4, … 64 values are made of those over half as many; between blocks only the last
        # value is carried, so the Python loop runs once per 64 values. (A product with a triangular matrix would be
        # shorter, and would wake the threads of a BLAS beside a training that wants all cores.)
        inner: Floats = padded.reshape(blocks, _BLOCK) * (1 - weight)
        reach = 1
        while reach < _BLOCK:
            inner[:, reach:] += weight**reach * inner[:, :-reach]
            reach *= 2
        carry = np.empty(blocks)
        last, decay = self._average, weight**_BLOCK
        for b, end in enumerate(inner[:, -1].tolist()):
            carry[b] = last
            last = last * decay + end
        inner += carry[:, None] * weight ** np.arange(1, _BLOCK + 1)
        biased = inner.reshape(-1)[:n]
        count = np.arange(self._count + 1, self._count + n + 1)
        self._average, self._count = float(biased[-1]), self._count + n
        return np.asarray(biased / -np.expm1(count * math.log(weight)))
