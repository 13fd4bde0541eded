"""The line prompt of `rnn-tui prompt` in a terminal: what was read and written is one state, and going back is free."""

import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from rnn_tui.cli.output import count, figure, say, stream
from rnn_tui.cli.prompt import COMPARING_SECONDS, unknown_symbols
from rnn_tui.corpus.copied import describe
from rnn_tui.errors import RnnTuiError, UsageError, nearest
from rnn_tui.inference.config import SamplingConfig, sampling_config
from rnn_tui.inference.drawing import Reader
from rnn_tui.inference.generate import Primed, generate, prime

if TYPE_CHECKING:
    from rnn_tui.inference.comparing import Comparer
    from rnn_tui.model.header import ModelFile
    from rnn_tui.plugin.tokenizer import Tokenizer

SETTINGS = {"/temp": "temperature", "/top-k": "top_k", "/top-p": "top_p", "/min-p": "min_p"} | {
    "/seed": "seed",
    "/length": "length",
}
COMMANDS = [*SETTINGS, "/greedy", "/retry", "/undo", "/reset", "/help", "/quit"]
HELP = """type a text and the model goes on from it and from all before it; an empty line lets it go on
/temp 0.8  /top-k 40  /top-p 0.9  /min-p 0.05  /length 200  /seed 7 (or none)  /greedy   change how it draws
/retry   draw the last completion again      /undo    forget the last text and its completion
/reset   forget everything                   /quit    leave (also Ctrl-D); Ctrl-C ends a completion"""


class Conversation:
    """Turns of text and completion on one state, each of which can be taken back."""

    def __init__(
        self,
        reader: Reader,
        tokenizer: "Tokenizer",
        config: SamplingConfig,
        comparer: "Comparer",
    ) -> None:
        self.reader = reader
        self.tokenizer = tokenizer
        self.config = config
        self.comparer = comparer
        self.now: Primed | None = None
        self.turns: list[tuple[Primed | None, Primed]] = []
        """For each turn: what was known before it, and after its text was read."""

    def run(self, header: "ModelFile") -> None:
        """Read lines until the end of input."""
        with suppress(ImportError):
            import readline  # noqa: F401  its import gives `input` a history and editing keys
        loss = header.training.get("validation_loss")
        figures = f", validation loss {figure(loss)}" if isinstance(loss, float) else ""
        say(
            f"{header.architecture.get('name')} at step {count(header.training.get('step'))}{figures}; /help tells more"
        )
        while True:
            try:
                if not sys.stdout.isatty():
                    print("> ", end="", file=sys.stderr, flush=True)
                line = input("> " if sys.stdout.isatty() else "")
            except EOFError:
                print(file=sys.stderr)
                return
            try:
                if line == "/quit":
                    return
                self.answer(line)
            except RnnTuiError as error:
                say(error)

    def answer(self, line: str) -> None:
        """Do what one line says: a command, or a text to go on from.

        Raises:
            UsageError: for an unknown command or a value that is not allowed.
        """
        if not line.startswith("/"):
            read = prime(self.reader, self.tokenizer, line, self.now)
            if read.unknown:
                say(unknown_symbols(read.unknown))
            self.turns.append((self.now, read))
            self.complete(read)
            return
        command, _, value = line.partition(" ")
        if command in SETTINGS:
            self.change(SETTINGS[command], value.strip())
        elif command == "/greedy":
            self.config = replace(self.config, greedy=not self.config.greedy)
            say(f"greedy {'on' if self.config.greedy else 'off'}")
        elif command == "/retry":
            if not self.turns:
                raise UsageError("there is nothing to draw again yet")
            if self.config.seed is not None:
                self.change("seed", str(self.config.seed + 1))
            self.complete(self.turns[-1][1])
        elif command == "/undo":
            if not self.turns:
                raise UsageError("there is nothing to take back")
            self.now = self.turns.pop()[0]
            say(f"{len(self.turns)} turns are left")
        elif command == "/reset":
            self.now, self.turns = None, []
            say("everything is forgotten")
        elif command == "/help":
            for text in HELP.splitlines():
                say(text)
        else:
            raise UsageError(f"there is no command {command}{nearest(command, COMMANDS)}; /help lists them")

    def change(self, name: str, value: str) -> None:
        """Set one sampling setting from text."""
        number: float | int | None
        try:
            number = None if name == "seed" and value == "none" else int(value)
        except ValueError:
            try:
                number = float(value)
            except ValueError:
                raise UsageError(f"{name} takes a number, not {value!r}") from None
        self.config = sampling_config({name: number}, self.config)
        say(f"{name} {value}")

    def complete(self, read: Primed) -> None:
        """Draw from `read` and remember what is known after it. Ctrl-C ends it there."""
        generation = generate(self.reader, self.tokenizer, read, self.config)
        completion = ""
        try:
            for piece in stream(piece.text for piece in generation):
                completion += piece
        except KeyboardInterrupt:
            print()
        else:
            if completion and not completion.endswith("\n"):
                print()
        self.now = generation.primed
        prompt = "".join(piece.text for piece in read.pieces)
        with suppress(KeyboardInterrupt):
            copied, _ = self.comparer.compare(prompt, completion, COMPARING_SECONDS)
            if copied:
                say(describe(copied, completion))
