"""Laws of an architecture as the host runs it, and how fast that is.

The laws of `rnn_tui.plugin.testing` are about the class alone. These build a model around it and do what a run does:
the trial at its start, each way over time, sampling, the model file, a short training.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import torch
from torch import Tensor

from rnn_tui.bench import baseline
from rnn_tui.bench.subjects import Sampling, Training, build_subject, symbols
from rnn_tui.bench.timing import interleave
from rnn_tui.inference.torch_reader import TorchReader
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.contract import check_architecture
from rnn_tui.model.file import load_model, save_model
from rnn_tui.model.header import ModelFile
from rnn_tui.model.precision import full_precision
from rnn_tui.model.recurrence import Engine
from rnn_tui.model.recurrent_model import RecurrentModel, build_model
from rnn_tui.model.state import leaves
from rnn_tui.plugin.registry import plugin_record
from rnn_tui.plugin.testing.laws import NOT_MEASURED, broken
from rnn_tui.plugin.testing.layers import LayerCase
from rnn_tui.tasks.next_token import sequence_loss
from rnn_tui.training.config import OptimConfig, RunConfig, TokenizerConfig
from rnn_tui.training.optim import build_optimizer, clip_gradients

TEXT = "the quick brown fox jumps over the lazy dog; "
UPDATES = 100
LOWERED = 0.8
"""Of the first loss is left after so many updates, at most. A tenth is left of rnn-tui's own in 31 to 50."""
_RATE = 0.01
_TURN = 0.08  # seconds


class HostedLaws(LayerCase):
    """Subclass as `ArchitectureLaws`, with the name under which the class is installed.

    Attributes:
        name: `distribution:name`.
    """

    name: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    hidden_size = 128  # one size for all: a way over time is compiled for each
    dtype = torch.float32
    tolerance = 1e-3
    _traced: RecurrentModel | None = None

    # ------------------------------------------------------------------------------------------ the laws

    def test_a_run_starts_with_it(self) -> None:
        """The trial that every run begins with."""
        check_architecture(self.model(), "the trial at the start of a run")

    def test_faster_ways_agree_with_the_loop(self) -> str:
        """Outputs, state and gradients over 40 positions with resets, one row and 33, of each way that the host has."""
        model = self.model()
        own = model.engine()
        if own[0] == "own":
            return own[1]
        expected = {rows: self._measured(model, rows) for rows in (1, 33)}
        engines: tuple[Engine, ...] = ("eager", "compiled")
        self._traced = model  # taking a step apart takes 1 to 3 s
        for engine in engines:
            model.select_engine(engine)
            taken, reason = model.engine()
            if taken != engine:
                return f"fastest: {taken}; {reason}"
            for rows, right in expected.items():
                what = f"{rows} x 40 positions were run {engine}, and by the plain loop"
                for name, found in self._measured(model, rows).items():
                    self.same(found, right[name], f"{what}; {name}")
        return f"fastest: {taken}; {reason}"

    def _measured(self, model: RecurrentModel, rows: int) -> dict[str, Tensor]:
        """Run the core forward and backward; return what came of it by name."""
        generator = torch.Generator().manual_seed(5)
        xs = torch.randn(rows, 40, model.core.input_size, generator=generator).requires_grad_()
        reset = torch.rand(rows, 40, generator=generator) < 0.05
        with full_precision():
            ys, state = model.core(xs, model.initial_state(rows), reset=reset)
            weights = torch.randn(ys.shape, generator=generator)
            named = {"input": xs, **dict(model.core.named_parameters())}
            grads = torch.autograd.grad((ys * weights).sum(), list(named.values()), allow_unused=True)
        found = {"the outputs": ys}
        found |= {f"the state, part {i + 1}": leaf for i, leaf in enumerate(leaves(state))}
        return found | {
            f"the gradient of {name}": torch.zeros_like(named[name]) if grad is None else grad
            for name, grad in zip(named, grads, strict=True)
        }

    def test_sampling_agrees_with_the_model(self) -> str:
        """Token by token through the taken-apart step, beside the model over the whole text."""
        model = self.model().eval()
        reader = TorchReader(model)
        reader.prepare()
        ids = self.ids(24)
        with torch.inference_mode():
            expected = model.outputs(model(torch.from_numpy(ids)[None], model.initial_state(1))[0])[0]
        state = reader.start()
        for position, token in enumerate(ids):
            logits, state = reader.advance(np.array([token]), state)
            self.same(
                torch.from_numpy(logits),
                expected[position : position + 1],
                f"24 tokens were read one by one, as a prompt does, and all at once; at token {position}",
                "step and forward compute different things",
            )
        way, reason = reader.engine()
        return f"{way}: {reason}"

    def test_a_model_file_holds_it(self) -> None:
        """Written and read back by name, as `rnn-tui prompt` does, it gives the same outputs to the bit."""
        tokenizer, model = symbols(self.vocab_size), self.model().eval()
        config = msgspec.to_builtins(RunConfig(model=self.config()))
        text = plugin_record("tokenizer", TokenizerConfig().name) | {"state": tokenizer.to_state()}
        header = ModelFile(
            config=config,
            tokenizer=text,
            architecture=plugin_record("architecture", self.name),
            training={"step": 0},
        )
        with tempfile.TemporaryDirectory(prefix="rnn-tui-check-") as folder:
            path = Path(folder) / "model.safetensors"
            save_model(path, model, header)
            again = load_model(path)[0]
        ids = torch.from_numpy(self.ids(24))[None]
        with torch.inference_mode():
            mine, given = (each(ids, each.initial_state(1))[0] for each in (again, model))
        self.same(
            mine,
            given,
            "a model file was written, read by load_model, and both models run",
            "something that is drawn or computed in __init__ is no parameter and no buffer",
            tolerance=1e-6,
        )

    def test_training_lowers_the_loss(self) -> str:
        """On one sentence, by Adam: a fifth of the first loss has to go within 100 updates."""
        model = self.model().train()
        optimizer = build_optimizer(OptimConfig(), model.parameters())
        for group in optimizer.param_groups:
            group["lr"] = _RATE
        parameters = list(model.parameters())
        ids = torch.from_numpy(self.ids(len(TEXT) * 6)).view(6, -1)
        losses: list[float] = []
        while len(losses) < UPDATES:
            loss, _ = sequence_loss(model, ids[:, :-1], ids[:, 1:], model.initial_state(len(ids)))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            clip_gradients(parameters, 1.0)
            optimizer.step()
            losses.append(loss.item())
            if losses[-1] < losses[0] / 10:
                break
        what = f"{losses[0]:.2f} to {losses[-1]:.2f} nats in {len(losses)} updates"
        if not losses[-1] < LOWERED * losses[0]:
            raise broken(
                f"{UPDATES} updates by Adam at {_RATE} on one sentence, 1x{self.hidden_size}",
                expected=f"a loss below {LOWERED * losses[0]:.2f} nats",
                came=f"{what}",
                likely="outputs that hardly depend on the input, gradients that vanish, weights that start too large",
            )
        return what

    # ------------------------------------------------------------------------------------------ what is told

    def tell_training_speed(self) -> str:
        subject = self._subject()
        ids = torch.from_numpy(self.ids(16 * 33)).view(16, 33)
        training = Training(self._traced or subject.model, ids)
        training.take("compiled")
        other = baseline.TorchModel(subject.kind, "one-hot", self.vocab_size, self.hidden_size)
        rates = _rates(training, baseline.torch_updates(other, ids))
        return f"{self._at()}: {rates} nn.{subject.kind.upper()}'s; {training.engine()[0]}"

    def tell_sampling_speed(self) -> str:
        subject = self._subject()
        sampling = Sampling(subject.model, symbols(self.vocab_size), traced=True)
        other = baseline.TorchModel(subject.kind, "one-hot", self.vocab_size, self.hidden_size)
        rates = _rates(sampling, baseline.draws(other, autograd=False))
        return f"{self._at()}: {rates} nn.{subject.kind.upper()}'s; {sampling.engine()[0]}"

    def _at(self) -> str:
        return f"1x{self.hidden_size} on one thread"

    def _subject(self) -> Any:
        return build_subject(self.config(), self.vocab_size, torch.device("cpu"))

    # ------------------------------------------------------------------------------------------ what they use

    @property
    def vocab_size(self) -> int:
        return len(set(TEXT))

    def config(self) -> ModelConfig:
        return ModelConfig(arch=self.name, options=dict(self.options), hidden_size=self.hidden_size)

    def model(self) -> RecurrentModel:
        """Return a model of one layer around the class, always the same one."""
        torch.manual_seed(0)
        return build_model(self.architecture, dict(self.options), self.config(), self.vocab_size)

    def ids(self, count: int) -> Any:
        """Return so many ids of a sentence over and over."""
        known = sorted(set(TEXT))
        return np.array([known.index(char) for char in (TEXT * (count // len(TEXT) + 1))[:count]])


def _rates(mine: Any, other: Any) -> str:
    timings = interleave({"mine": mine, "other": other}, 3, seconds=_TURN)
    rate, ratio = timings.rate("mine"), timings.ratio("mine", "other")
    if rate is None or ratio is None:
        raise broken(NOT_MEASURED, came="; ".join(timings.errors.values()))
    busy = ", taken while others used the machine" if rate.busy else ""
    return f"{rate.median:,.0f} tokens/s{busy}, {ratio.median:.1f} times"
