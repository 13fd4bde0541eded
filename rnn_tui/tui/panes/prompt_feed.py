"""How a prompt becomes turns: one for each column that has a model, all with the same settings and the same seed."""

from rnn_tui.errors import UsageError
from rnn_tui.tui.panes.prompt_column import Column
from rnn_tui.tui.panes.prompt_settings import PromptSettings, new_seed
from rnn_tui.tui.panes.prompt_stage import Stage
from rnn_tui.tui.panes.prompt_turns import Turn


class Feed:
    """The settings in force, and what gives texts to the columns of a stage with them.

    All methods raise UsageError, in a sentence for the status line, where nothing can be drawn now.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.settings = PromptSettings()

    @property
    def writing(self) -> bool:
        """Whether a model is at work on a turn."""
        return any(column.writing is not None for column in self.stage.columns)

    def begin(self, text: str) -> None:
        """Give a text to every column; an empty one has each go on with what it has."""
        columns = self._columns()
        if not text and all(column.session.labels for column in columns):
            raise UsageError("this model labels a text; type one")
        seed = self._seed()
        for column in columns:
            column.write(self._turn(Turn(text, self.starts_fresh(column, text)), seed))

    def go_on(self, text: str) -> None:
        """Give a text to every column as the continuation of what it has."""
        columns, seed = self._columns(), self._seed()
        for column in columns:
            column.write(self._turn(Turn(text, fresh=column.talk.last is None), seed))

    def fresh(self, column: Column, text: str) -> None:
        """Give a text to one column, which begins anew with it."""
        column.write(self._turn(Turn(text, fresh=True), self._seed()))

    def retry(self) -> None:
        """Have every column try its last turn again with another seed, in the middle of it or after."""
        again = [(column, column.take_back()) for column in self.stage.columns]
        if all(turn is None for _, turn in again):
            raise UsageError("nothing to try again yet")
        seed = self._seed()
        for column, turn in again:
            if turn is not None:
                shift = 0 if self.settings.seed is None else turn.tries
                turn = Turn(turn.prompt, turn.fresh, tries=turn.tries + 1)
                column.write(self._turn(turn, seed + shift))

    def batch(self, n: int, text: str) -> None:
        """Draw `n` completions of a text in the active column, to pick from."""
        column = self.stage.column
        if column not in self._columns():
            raise UsageError("choose a model for this column first (f5)")
        self.stage.draw(self._turn(Turn(text, self.starts_fresh(column, text)), self._seed()), n)

    def starts_fresh(self, column: Column, text: str) -> bool:
        """Return whether a text begins anew: always, but to go on or with `carry`."""
        return column.talk.last is None or (bool(text) and not self.settings.carry)

    def _columns(self) -> list[Column]:
        """Return the columns that can be given a text, which the stage shows from now on."""
        columns = [column for column in self.stage.columns if column.session.path is not None]
        if not columns:
            raise UsageError("choose a run or a model file first (f5)")
        if self.writing:
            raise UsageError("still writing; esc ends it")
        self.stage.leave()
        return columns

    def _seed(self) -> int:
        return new_seed() if self.settings.seed is None else self.settings.seed

    def _turn(self, turn: Turn, seed: int) -> Turn:
        turn.settings, turn.seed = self.settings, seed
        return turn
