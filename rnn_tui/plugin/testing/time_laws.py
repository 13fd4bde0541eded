"""Laws of time: steps and sequences, splits, resets, and what may depend on what."""

import torch
from torch import Tensor

from rnn_tui.plugin.core import Core, State
from rnn_tui.plugin.state import leaves, map_state
from rnn_tui.plugin.testing.laws import broken, skip
from rnn_tui.plugin.testing.layers import BATCH, LENGTH, Layer, LayerCase, run, step

LONG = 1000


class TimeLaws(LayerCase):
    def test_step_equals_sequence(self) -> None:
        self._steps_equal_sequence(self.build(), "")

    def test_step_equals_sequence_while_training(self) -> None:
        """As above in training mode, the generator seeded alike; only a Core has two ways to differ."""
        layer = self.build()
        if not isinstance(layer, Core):
            skip("a Cell has one way only")
        layer.train()
        xs, state = self.inputs(layer)
        torch.manual_seed(1)
        first = run(layer, xs, state)[0]
        torch.manual_seed(2)
        if not torch.equal(first, run(layer, xs, state)[0]):
            skip("it draws random numbers while training")
        self._steps_equal_sequence(layer, " in training mode")

    def _steps_equal_sequence(self, layer: Layer, mode: str) -> None:
        xs, state = self.inputs(layer)
        whole, end = run(layer, xs, state)
        for t in range(LENGTH):
            y, state = step(layer, xs[:, t], state)
            self.same(
                y,
                whole[:, t],
                f"step was called{mode} on position {t} of {LENGTH}, and forward on all of them",
                self.suspicion(layer)
                or (
                    "step and forward compute different things"
                    if not t
                    else "step returns another state than forward carries on with"
                ),
            )
        self.same_state(state, end, f"the state after {LENGTH} steps{mode}, beside that of forward")

    def test_a_split_changes_nothing(self) -> None:
        """Two halves with the state carried over are the whole, whatever else the layer did in between."""
        layer = self.build()
        xs, state = self.inputs(layer)
        ys, end = run(layer, xs, state)
        for cut in range(1, LENGTH):
            what = f"{LENGTH} positions were cut after {cut}, another batch run in between"
            likely = self.suspicion(layer) or "the state does not hold all that the next position needs"
            first, middle = run(layer, xs[:, :cut], state)
            run(layer, *self.inputs(layer, 2, 2))  # something kept on self would now be another's
            second, last = run(layer, xs[:, cut:], middle)
            self.same(torch.cat([first, second], 1), ys, what, likely)
            self.same_state(last, end, f"{what}; the state at the end", likely)

    def test_a_reset_is_a_fresh_start(self) -> None:
        """Where `reset` is true, what comes is what a fresh row gives, and the other rows notice nothing."""
        layer = self.build()
        xs, state = self.inputs(layer)
        plain, _ = run(layer, xs, state)
        likely = self._of_resets(layer, xs, state)
        none, _ = run(layer, xs, state, torch.zeros(BATCH, LENGTH, dtype=torch.bool))
        self.same(none, plain, "reset was given, nowhere true", likely)
        for t in range(LENGTH):
            row = t % BATCH
            reset = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
            reset[row, t] = True
            ys, end = run(layer, xs, state, reset)
            fresh, fresh_end = run(layer, xs[row : row + 1, t:], self.initial(layer, 1))
            what = f"reset was true in row {row} at position {t}"
            self.same(
                ys[row : row + 1, t:], fresh, f"{what}; from there on, beside a fresh row", likely, row=row
            )
            before, unreset = ys[row : row + 1, :t], plain[row : row + 1, :t]
            self.same(before, unreset, f"{what}; before it, beside no reset", likely, row=row)
            ours = map_state(lambda leaf, r=row: leaf[r : r + 1], end)
            self.same_state(
                ours, fresh_end, f"{what}; the state at the end, beside a fresh row", likely, row=row
            )
            others = torch.arange(BATCH) != row
            self.same(ys[others], plain[others], f"{what}; the other rows, beside no reset", likely)
        ys, _ = run(layer, xs, state, torch.ones(BATCH, LENGTH, dtype=torch.bool))
        for t in range(LENGTH):
            fresh, _ = run(layer, xs[:, t : t + 1], self.initial(layer, BATCH))
            self.same(ys[:, t : t + 1], fresh, f"reset was true everywhere; at position {t}", likely)

    def _of_resets(self, layer: Layer, xs: Tensor, state: State) -> str:
        """Return the likely cause of wrong resets, by what the outputs are where row 0 has one in the middle."""
        if not isinstance(layer, Core):  # its resets are not its own
            return "rows depend on each other, see the law that they do not mix"
        at = LENGTH // 2
        reset = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
        reset[0, at] = True
        found = run(layer, xs, state, reset)[0][:1, at:]
        plain, fresh = run(layer, xs, state)[0][:1, at:], self.initial(layer, 1)
        late = torch.cat([plain[:, :1], run(layer, xs[:1, at + 1 :], fresh)[0]], 1)
        zeros = run(layer, xs[:1, at:], map_state(torch.zeros_like, fresh))[0]
        known = {
            "reset is ignored": plain,
            "a reset comes one position late: the state is to be replaced before the input of its position": late,
            "a reset gives zeros: put initial_state in place": zeros,
        }
        expected = run(layer, xs[:1, at:], fresh)[0]
        for cause, ys in known.items():
            if found.shape == ys.shape and torch.allclose(found, ys) and not torch.allclose(found, expected):
                return cause
        return "reset puts initial_state in place before the input of that position, row by row"

    def test_causality(self) -> None:
        """No output depends on a later input."""
        layer = self.build()
        xs, state = self.inputs(layer)
        ys, _ = run(layer, xs, state)
        for t in range(1, LENGTH):
            changed = xs.clone()
            changed[:, t:] += 1
            self.same(
                run(layer, changed, state)[0][:, :t],
                ys[:, :t],
                f"the inputs from position {t} on were changed; the outputs before it",
                "a mean, a norm or a convolution over all positions looks ahead",
            )

    def test_a_long_sequence_stays_finite(self) -> None:
        layer = self.build()
        with torch.no_grad():
            ys, end = run(layer, self.inputs(layer, 2, LONG)[0], self.initial(layer, 2))
        bad = ~ys.isfinite().all(2).all(0)
        if bad.any() or not all(leaf.isfinite().all() for leaf in leaves(end)):
            where = f"at position {int(bad.nonzero()[0])}" if bad.any() else "in the state at the end"
            raise broken(
                f"a new layer was run over {LONG} positions of normally distributed inputs",
                expected="finite outputs and a finite state",
                came=f"NaN or infinity {where}",
                likely="the state grows from step to step: weights that are too large at the start, or no gate",
            )
