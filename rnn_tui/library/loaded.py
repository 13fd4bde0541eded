"""A model file as it was read: what computes, what makes its inputs, and what it says of itself."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rnn_tui.corpus.series import Scaling
from rnn_tui.inference.drawing import Reader
from rnn_tui.library.boundary import TakingTurns, Turns
from rnn_tui.model.container import open_container
from rnn_tui.model.header import ModelFile, read_header
from rnn_tui.plugin.tokenizer import Tokenizer

if TYPE_CHECKING:
    from rnn_tui.model.recurrent_model import RecurrentModel


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What a model file says of its model.

    Attributes:
        path: the file it was loaded from.
        task: `next-token`, `aligned` or `series`.
        architecture, tokenizer: by plugin name; no tokenizer in a model of numbers.
        parameters: how many trained values it has.
        vocab_size: tokens of a model of text, else 0.
        columns: names of the columns of a model of numbers, else none.
        run, step: the run that trained it, and its optimiser updates until then.
        train_loss, validation_loss: at that step, in the unit of the task (nats per token or label; squared error of
            scaled numbers); None where not measured.
        corpus: what it was trained on.
    """

    path: Path
    task: str
    architecture: str
    tokenizer: str | None
    parameters: int
    vocab_size: int
    columns: tuple[str, ...]
    run: str
    step: int
    train_loss: float | None
    validation_loss: float | None
    corpus: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """What was read of a model file.

    Attributes:
        module: None where NumPy computes.
        tokenizer, reader: of a model of tokens, else None.
        scaling: of a model of numbers, else None.
        stored: the bytes of the file, where there is no module to make them of: the file itself may be replaced, as
            that of a run that trains is.
        values: how many numbers the file holds.
        turns: for whoever uses the module.
    """

    path: Path
    header: ModelFile
    module: "RecurrentModel | None" = None
    tokenizer: Tokenizer | None = None
    reader: Reader | None = None
    scaling: Scaling | None = None
    stored: bytes = b""
    values: int = 0
    turns: Turns

    @property
    def task(self) -> str:
        return self.header.task or "next-token"

    @property
    def parameters(self) -> int:
        return self.values if self.module is None else self.module.parameter_count()

    def file(self) -> bytes:
        """Return the bytes of a model file with the weights as they are now."""
        if self.module is None:
            return self.stored
        from rnn_tui.model.file import encode, weights

        return encode(weights(self.module), self.header)

    def info(self) -> ModelInfo:
        """Return what it says of itself."""
        header, training = self.header, self.header.training
        return ModelInfo(
            path=self.path,
            task=self.task,
            architecture=str(header.architecture["name"]),
            tokenizer=None if header.tokenizer is None else str(header.tokenizer["name"]),
            parameters=self.parameters,
            vocab_size=0 if self.tokenizer is None else self.tokenizer.vocab_size,
            columns=() if self.scaling is None else self.scaling.columns,
            run=str(training.get("run", "")),
            step=int(training.get("step", 0)),
            train_loss=training.get("train_loss"),
            validation_loss=training.get("validation_loss"),
            corpus=str(training.get("corpus", "")),
        )


def load_in_torch(path: Path, device: str) -> Loaded:
    """Read a model file into a module. Raises as `rnn_tui.model.file.load_model`."""
    from rnn_tui.model.file import load_model, load_series

    if read_header(path).scaling is not None:
        module, scaling, header = load_series(path, device=device)
        return Loaded(path=path, header=header, module=module, scaling=scaling, turns=Turns())
    module, tokenizer, header = load_model(path, device=device)
    return _of_tokens(path, module, tokenizer, header)


def held(path: Path, module: "RecurrentModel", header: ModelFile) -> Loaded:
    """Return a module that was made out of a file and is on the CPU as if it had been read of a model file."""
    from rnn_tui.model.file import read_scaling, read_tokenizer

    if header.tokenizer is not None:
        return _of_tokens(path, module, read_tokenizer(header.tokenizer, path), header)
    scaling = read_scaling(header, path)
    return Loaded(path=path, header=header, module=module, scaling=scaling, turns=Turns())


def _of_tokens(path: Path, module: "RecurrentModel", tokenizer: Tokenizer, header: ModelFile) -> Loaded:
    from rnn_tui.inference.torch_reader import TorchReader

    turns = Turns()
    reader = TakingTurns(TorchReader(module), turns)
    return Loaded(path=path, header=header, module=module, tokenizer=tokenizer, reader=reader, turns=turns)


def load_in_numpy(path: Path, device: str) -> Loaded:
    """Read a model file without torch. Raises as `rnn_tui.inference.reader.load_reader`."""
    from rnn_tui.inference.reader import load_reader

    reader, tokenizer, header = load_reader(path, backend="numpy", device=device)
    with open_container(path) as container:
        values = sum(math.prod(entry.shape) for entry in container.entries.values())
    return Loaded(
        path=path,
        header=header,
        tokenizer=tokenizer,
        reader=reader,
        stored=path.read_bytes(),
        values=values,
        turns=Turns(),
    )
