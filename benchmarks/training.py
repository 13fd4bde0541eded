"""Training and sampling: every installed architecture beside the tutorial's loop and nn.LSTM."""

from collections.abc import Callable

import torch
from rnn_tui_text.char import CharTokenizer
from torch.nn import functional

from benchmarks.timing import interleave, table
from benchmarks.tutorial import TutorialLSTM, clip
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.torch_reader import TorchReader
from rnn_tui.model.config import ModelConfig
from rnn_tui.model.recurrence import Engine
from rnn_tui.model.recurrent_model import RecurrentModel, build_model
from rnn_tui.plugin.registry import list_plugins, load_plugin
from rnn_tui.tasks.next_token import sequence_loss
from rnn_tui.training.config import OptimConfig
from rnn_tui.training.optim import build_optimizer, clip_gradients

VOCABULARY = 66
SIZES = [(256, 32, 64), (512, 32, 35)]  # hidden size, batch size, seq_len


def _model(name: str, hidden: int, engine: Engine = "auto") -> RecurrentModel:
    model = build_model(
        load_plugin("architecture", name), {}, ModelConfig(arch=name, hidden_size=hidden), VOCABULARY
    )
    model.select_engine(engine)
    return model


def _names() -> list[str]:
    return [info.name for info in list_plugins("architecture") if info.error is None]


def _updates(model: RecurrentModel, ids: torch.Tensor) -> Callable[[], float]:
    """Whole updates: forward, backward, clip, optimiser."""
    optimizer = build_optimizer(OptimConfig(), model.parameters())
    parameters = list(model.parameters())

    def run() -> float:
        for _ in range(4):
            loss, _state = sequence_loss(model, ids[:, :-1], ids[:, 1:], model.initial_state(len(ids)))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            clip_gradients(parameters, 1.0)
            optimizer.step()
        return 4 * ids[:, 1:].numel()

    return run


def engines(repeats: int) -> None:
    """Each cell on the plain loop and on the eager rung; two processes' worth of noise hits both alike."""
    for hidden, batch, length in SIZES:
        ids = torch.randint(VOCABULARY, (batch, length + 1))
        for name in _names():
            model = _model(name, hidden, "eager")
            if model.engine()[0] != "eager":
                print(f"{name}: {model.engine()[1]}")
                continue
            loop = f"{name} loop"
            rates = interleave(
                {loop: _updates(_model(name, hidden, "loop"), ids), f"{name} eager": _updates(model, ids)},
                repeats,
            )
            print(f"hidden {hidden}, batch {batch}, seq_len {length}")
            print(table(rates, "tokens/s", loop) + "\n", flush=True)


def train(repeats: int) -> None:
    """Whole updates of every architecture, each cell on the eager rung where it can."""
    for hidden, batch, length in SIZES:
        ids = torch.randint(VOCABULARY, (batch, length + 1))

        def ours(name: str, ids: torch.Tensor = ids, hidden: int = hidden) -> Callable[[], float]:
            return _updates(_model(name, hidden), ids)

        tutorial = TutorialLSTM(VOCABULARY, hidden)
        parameters = list(tutorial.parameters())
        sgd = torch.optim.SGD(parameters, 1.0)

        def taught(ids: torch.Tensor = ids, tutorial=tutorial, parameters=parameters, sgd=sgd) -> float:  # type: ignore[no-untyped-def]
            for _ in range(4):
                logits, _state = tutorial(ids[:, :-1], tutorial.start(len(ids)))
                loss = functional.cross_entropy(logits, ids[:, 1:].T.flatten())
                sgd.zero_grad()
                loss.backward()
                clip(parameters, 1.0)
                sgd.step()
            return 4 * ids[:, 1:].numel()

        print(f"hidden {hidden}, batch {batch}, seq_len {length}, vocabulary {VOCABULARY}, one-hot")
        rates = interleave({"tutorial LSTM": taught} | {name: ours(name) for name in _names()}, repeats)
        print(table(rates, "tokens/s", "tutorial LSTM", "nn-lstm") + "\n")


def sample(repeats: int) -> None:
    """One stream, temperature 0.8."""
    tokenizer = CharTokenizer.train([bytes(range(33, 98)).decode()], None)
    for hidden in (128, 512):
        tutorial = TutorialLSTM(tokenizer.vocab_size, hidden)

        def taught(tutorial: TutorialLSTM = tutorial) -> float:
            state, token = tutorial.start(1), torch.zeros(1, 1, dtype=torch.long)
            for _ in range(100):
                logits, state = tutorial(token, state)
                token = torch.multinomial(functional.softmax(logits / 0.8, -1), 1)
                token.item()
            return 100

        def ours(name: str, hidden: int = hidden):  # type: ignore[no-untyped-def]
            model = build_model(
                load_plugin("architecture", name),
                {},
                ModelConfig(arch=name, hidden_size=hidden),
                tokenizer.vocab_size,
            ).eval()
            reader = TorchReader(model)
            config = SamplingConfig(temperature=0.8, length=100, seed=1)

            def run() -> float:
                for _ in generate(reader, tokenizer, prime(reader, tokenizer, "A"), config):
                    pass
                return 100

            return run

        print(f"hidden {hidden}, batch 1")
        rates = interleave({"tutorial LSTM": taught} | {name: ours(name) for name in _names()}, repeats)
        print(table(rates, "tokens/s", "tutorial LSTM") + "\n")
