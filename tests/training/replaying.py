"""A stand-in for CUDA graphs on the CPU: notes each operator with the tensors it was given, and runs them again.

As with a graph, a replay runs no Python: a number that the host read while recording stays what it was, and a tensor
that was made anew since is not seen.
"""

from contextlib import contextmanager, nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten.is_nonzero", "aten.equal")
"""Operators that make a host wait for its device."""

TURNS = ("aten.transpose_", "aten.t_.", "aten.squeeze_", "aten.unsqueeze_")
"""Operators that turn a tensor round where it is; a kernel knows nothing of them."""


def _storages(values):
    return {
        leaf.untyped_storage().data_ptr() for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)
    }


class _Strict(TorchDispatchMode):
    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if str(operator).startswith(WAITS):
            raise RuntimeError(f"called a synchronizing operation: {operator}")
        return operator(*args, **kwargs or {})


class _Tape(_Strict):
    def __init__(self):
        super().__init__()
        self.entries = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        results = super().__torch_dispatch__(operator, types, args, kwargs)
        if str(operator).startswith(TURNS):
            return results
        given = _storages((args, kwargs))
        # a view, or what was written in place, is there already when the operator has run again
        new = [
            (index, leaf.detach())
            for index, leaf in enumerate(tree_leaves(results))
            if isinstance(leaf, torch.Tensor) and leaf.untyped_storage().data_ptr() not in given
        ]
        self.entries.append((operator, args, kwargs, new))
        return results

    def replay(self):
        with torch.no_grad():
            for operator, args, kwargs, new in self.entries:
                results = tree_leaves(operator(*args, **kwargs))
                for index, leaf in new:
                    leaf.copy_(results[index])


class Replaying:
    """See `rnn_tui.training.graphed.Recorder`. Recording runs the step, so the first replay of each does nothing."""

    def __init__(self):
        self.recorded = self.replayed = 0

    def apart(self):
        return nullcontext()

    @contextmanager
    def strict(self):
        with _Strict():
            yield

    def record(self, step):
        tape = _Tape()
        with tape:
            step()
        self.recorded += 1
        ran = [True]

        def replay():
            self.replayed += 1
            if ran:
                ran.clear()
            else:
                tape.replay()

        return replay
