"""The conversation as a tree of turns: branches that share their beginnings, and names for places in it. Pure data.

A recurrent state is small and the engine keeps one for each turn, so going on from any of them costs nothing. Turns
know the one before them; a branch is a name for the turn it ends in. What neither a branch nor a snapshot leads to any
more is dropped, and its states can be forgotten. A state belongs to one load of one model; after a reload or a
restart of the engine the text itself is read again instead.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from rnn_tui.errors import UsageError, nearest
from rnn_tui.tui.panes.prompt_turns import StateRef, Turn
from rnn_tui.tui.widgets.tail_text import Span

REPLAY = 4000
"""Characters of the text so far that are read again where its state is gone."""

MAX_TURNS = 500
"""In one branch; the oldest are cut off."""


@dataclass
class Branch:
    """A name for the turn that a transcript ends in; None before the first."""

    name: str
    tip: Turn | None = None


@dataclass(frozen=True)
class Row:
    """A turn in the list of all: where it stands and what is called after it."""

    turn: Turn
    number: int
    """From 1, counted from the beginning of its branch."""
    depth: int
    """How many forks it is off the oldest line."""
    forks: bool
    """Whether it begins a side line."""
    branches: tuple[str, ...]
    snapshots: tuple[str, ...]
    shown: bool
    """Whether it is part of the transcript in view."""


class Tree:
    """Branches, of which one is in view, and snapshots."""

    def __init__(self) -> None:
        self.branches = [Branch("main")]
        self.current = self.branches[0]
        self.snapshots: dict[str, Turn] = {}

    # -- what is there --------------------------------------------------------------------------------------------

    @property
    def turns(self) -> list[Turn]:
        """The turns of the branch in view, oldest first."""
        return path(self.current.tip)

    @property
    def last(self) -> Turn | None:
        """Where the branch in view ends."""
        return self.current.tip

    def all(self) -> list[Turn]:
        """Return every turn that something leads to; those of the first branch come first."""
        tips = [*(branch.tip for branch in self.branches), *self.snapshots.values()]
        return list(dict.fromkeys(turn for tip in tips for turn in path(tip)))

    def shown(self) -> list[Span]:
        """Return the transcript in view."""
        return [span for number, turn in enumerate(self.turns) for span in turn.shown(first=number == 0)]

    def rows(self) -> list[Row]:
        """Return all turns in the order of a list: after each turn its side lines, then the line goes on."""
        following: dict[Turn | None, list[Turn]] = {}
        for turn in self.all():
            following.setdefault(turn.parent, []).append(turn)
        shown = set(self.turns)
        found: list[Row] = []
        waiting: list[tuple[Turn, int, int, bool]] = []

        def line_up(turns: list[Turn], number: int, depth: int) -> None:
            waiting.extend((turn, number, depth, False) for turn in turns[:1])
            waiting.extend((turn, number, depth + 1, True) for turn in turns[:0:-1])

        line_up(following.get(None, []), 1, 0)
        while waiting:
            turn, number, depth, forks = waiting.pop()
            branches = tuple(branch.name for branch in self.branches if branch.tip is turn)
            snapshots = tuple(name for name, at in self.snapshots.items() if at is turn)
            found.append(Row(turn, number, depth, forks, branches, snapshots, turn in shown))
            line_up(following.get(turn, []), number + 1, depth)
        return found

    def before(self, turn: Turn, load: tuple[int, int]) -> tuple[StateRef | None, str]:
        """Return what `turn` starts from: a state that is still there, and text that must be read before its prompt.

        Args:
            load: The present load of the model; older states are of no use to it.
        """
        if turn.fresh or turn.parent is None:
            return None, ""
        text = ""
        for earlier in reversed(path(turn.parent)):
            if earlier.after is not None and earlier.after.load == load:
                return earlier.after, text
            text = earlier.text + text
            if earlier.fresh or len(text) >= REPLAY:
                break
        return None, text[-REPLAY:]

    # -- what can be done -----------------------------------------------------------------------------------------

    def add(self, turn: Turn) -> list[Turn]:
        """Put a turn at the end of the branch in view; return those that are dropped because it is too long."""
        turn.parent = self.current.tip
        self.current.tip = turn
        turns = path(turn)
        return self._cut(turns[-MAX_TURNS]) if len(turns) > MAX_TURNS else []

    def _cut(self, turn: Turn) -> list[Turn]:
        before = self.all()
        turn.parent = None
        return self._dropped(before)

    def graft(self, turn: Turn, parent: Turn | None) -> Branch:
        """Keep a turn as a branch of its own after `parent`; the branch in view stays."""
        turn.parent = parent
        self.branches.append(Branch(self._free_name(""), turn))
        return self.branches[-1]

    def undo(self, to: Turn | None) -> list[Turn]:
        """End the branch in view in `to`, one of its turns or None for its beginning; return what is dropped."""
        before = self.all()
        self.current.tip = to
        return self._dropped(before)

    def branch(self, at: Turn | None, name: str = "") -> Branch:
        """Begin a new branch after `at` and show it; the one before is kept.

        Raises:
            UsageError: when there is a branch of this name.
        """
        branch = Branch(self._free_name(name), at)
        self.branches.append(branch)
        self.current = branch
        return branch

    def show(self, name: str) -> Branch:
        """Show a branch.

        Raises:
            UsageError: when there is none of this name.
        """
        for branch in self.branches:
            if branch.name == name:
                self.current = branch
                return branch
        names = [branch.name for branch in self.branches]
        raise UsageError(f"there is no branch {name!r}{nearest(name, names)}; /turns shows all")

    def drop(self, name: str) -> list[Turn]:
        """Remove a branch that is not in view; return what is dropped with it.

        Raises:
            UsageError: when it is the one in view.
        """
        if self.current.name == name:
            raise UsageError("that branch is in view; show another one first")
        before = self.all()
        self.branches = [branch for branch in self.branches if branch.name != name]
        return self._dropped(before)

    def keep(self, name: str) -> list[Turn]:
        """Name the place where the branch in view ends; return what an earlier snapshot of the name had kept.

        Raises:
            UsageError: without a name, or when nothing has been read yet.
        """
        if not name:
            raise UsageError("a snapshot needs a name: /save NAME")
        if self.current.tip is None:
            raise UsageError("nothing to keep yet; give a prompt first")
        before = self.all()
        self.snapshots[name] = self.current.tip
        return self._dropped(before)

    def snapshot(self, name: str) -> Turn:
        """Return the turn that a snapshot names.

        Raises:
            UsageError: when there is none of this name.
        """
        if name not in self.snapshots:
            raise UsageError(
                f"there is no snapshot {name!r}{nearest(name, self.snapshots)}; /snapshots shows all"
            )
        return self.snapshots[name]

    def remove(self, name: str) -> list[Turn]:
        """Forget a snapshot; return what nothing leads to any more."""
        before = self.all()
        self.snapshots.pop(name, None)
        return self._dropped(before)

    def _dropped(self, before: Iterable[Turn]) -> list[Turn]:
        kept = set(self.all())
        return [turn for turn in before if turn not in kept]

    def _free_name(self, wanted: str) -> str:
        names = {branch.name for branch in self.branches}
        if wanted in names:
            raise UsageError(f"there is a branch {wanted!r} already; /turns shows all")
        return wanted or next(name for number in range(2, 10_000) if (name := f"b{number}") not in names)


def path(tip: Turn | None) -> list[Turn]:
    """Return the turns that lead to `tip`, oldest first."""
    turns: list[Turn] = []
    while tip is not None:
        turns.append(tip)
        tip = tip.parent
    return turns[::-1]
