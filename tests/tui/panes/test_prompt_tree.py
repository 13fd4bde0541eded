"""The tree of turns; every tree is drawn by hand."""

import pytest

from rnn_tui.errors import UsageError
from rnn_tui.tui.engine_client import Piece
from rnn_tui.tui.panes import prompt_tree
from rnn_tui.tui.panes.prompt_tree import Tree, path
from rnn_tui.tui.panes.prompt_turns import StateRef, Turn

LOAD, OTHER = (1, 1), (1, 2)


def grow(tree: Tree, *names: str) -> list[Turn]:
    """Add a turn for each name to the branch in view; the first of all is fresh."""
    turns = [Turn(name, fresh=tree.last is None and not index) for index, name in enumerate(names)]
    for turn in turns:
        tree.add(turn)
    return turns


def names(turns: list[Turn]) -> str:
    return "".join(turn.prompt for turn in turns)


def test_a_line_of_turns_and_undo_to_any() -> None:
    tree = Tree()
    a, b, c, d = grow(tree, *"abcd")
    assert names(tree.turns) == "abcd"
    assert tree.last is d
    assert tree.undo(b) == [c, d]
    assert names(tree.turns) == "ab"
    assert tree.undo(None) == [a, b]
    assert tree.last is None
    assert tree.undo(None) == []


def test_branches_share_their_beginning() -> None:
    tree = Tree()
    a, b, c = grow(tree, *"abc")
    #   a ─ b ─ c      main
    #     └ x ─ y      b2
    assert tree.branch(a).name == "b2"
    x, y = grow(tree, *"xy")
    assert names(tree.turns) == "axy"
    assert names(tree.all()) == "abcxy"
    tree.show("main")
    assert names(tree.turns) == "abc"
    assert tree.undo(a) == [b, c]  # a is part of b2, too
    tree.show("b2")
    assert tree.drop("main") == []  # it ends in a
    assert tree.undo(None) == [a, x, y]
    assert c.parent is b  # what was dropped is whole still


def test_dropping_a_branch_keeps_what_others_need() -> None:
    tree = Tree()
    a, _ = grow(tree, *"ab")
    tree.branch(a, "other")
    x, y = grow(tree, *"xy")
    with pytest.raises(UsageError, match="in view"):
        tree.drop("other")
    tree.show("main")
    assert tree.drop("other") == [x, y]
    with pytest.raises(UsageError, match=r"no branch 'mian'; did you mean 'main'"):
        tree.show("mian")
    with pytest.raises(UsageError, match="already"):
        tree.branch(None, "main")


def test_rows_list_side_lines_where_they_leave() -> None:
    tree = Tree()
    a, b, _c = grow(tree, *"abc")
    tree.branch(a)
    grow(tree, *"xy")
    tree.branch(b, "third")
    grow(tree, "z")
    tree.branch(None, "fourth")
    grow(tree, "q")
    tree.show("b2")
    tree.snapshots["here"] = a
    #   a ─ b ─ c          main
    #     │   └ z          third
    #     └ x ─ y          b2, in view
    #   q                  fourth
    assert [
        (row.turn.prompt, row.number, row.depth, row.forks, row.branches, row.snapshots, row.shown)
        for row in tree.rows()
    ] == [
        ("q", 1, 1, True, ("fourth",), (), False),
        ("a", 1, 0, False, (), ("here",), True),
        ("x", 2, 1, True, (), (), True),
        ("y", 3, 1, False, ("b2",), (), True),
        ("b", 2, 0, False, (), (), False),
        ("z", 3, 1, True, ("third",), (), False),
        ("c", 3, 0, False, ("main",), (), False),
    ]


def test_snapshots_keep_turns_that_were_taken_back() -> None:
    tree = Tree()
    with pytest.raises(UsageError, match="nothing to keep"):
        tree.keep("one")
    a, b, c = grow(tree, *"abc")
    with pytest.raises(UsageError, match="needs a name"):
        tree.keep("")
    tree.undo(b)
    assert tree.keep("one") == []
    assert tree.undo(None) == []  # a and b are kept by the snapshot
    assert names(path(tree.snapshot("one"))) == "ab"
    tree.branch(tree.snapshot("one"))
    assert names(tree.turns) == "ab"
    tree.undo(None)
    assert tree.remove("one") == [a, b]
    with pytest.raises(UsageError, match="no snapshot 'one'"):
        tree.snapshot("one")
    assert c not in tree.all()


def test_a_snapshot_of_the_same_name_moves() -> None:
    tree = Tree()
    a, b = grow(tree, *"ab")
    tree.keep("here")
    tree.undo(None)
    x = grow(tree, "x")[0]
    assert tree.keep("here") == [a, b]
    assert tree.snapshot("here") is x


def test_a_graft_is_a_branch_that_is_not_in_view() -> None:
    tree = Tree()
    a = grow(tree, "a")[0]
    other = Turn("o", fresh=False)
    assert tree.graft(other, a).name == "b2"
    assert names(tree.turns) == "a"
    tree.show("b2")
    assert names(tree.turns) == "ao"


def test_a_turn_starts_where_the_text_before_it_ended() -> None:
    tree = Tree()
    one = Turn("ab", fresh=True, made=[Piece("cd")], after=StateRef(5, LOAD))
    two = Turn("", fresh=False, made=[Piece("ef")])
    three = Turn("gh", fresh=False)
    for turn in (one, two, three):
        tree.add(turn)
    assert tree.before(one, LOAD) == (None, "")
    assert tree.before(two, LOAD) == (StateRef(5, LOAD), "")
    assert tree.before(three, LOAD) == (StateRef(5, LOAD), "ef")  # two was cut off: its text is read again
    assert tree.before(three, OTHER) == (None, "abcdef")  # another load: everything is
    fresh = Turn("x", fresh=True)
    tree.add(fresh)
    after = Turn("", fresh=False)
    tree.add(after)
    assert tree.before(after, OTHER) == (None, "x")  # and no further back than the last fresh start


def test_a_branch_is_cut_when_it_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_tree, "MAX_TURNS", 3)
    tree = Tree()
    a, _, _ = grow(tree, *"abc")
    d = Turn("d", fresh=False)
    assert tree.add(d) == [a]
    assert names(tree.turns) == "bcd"


def test_the_transcript_has_a_blank_line_before_all_but_the_first_header() -> None:
    tree = Tree()
    for name in "ab":
        tree.add(Turn(name, fresh=True, header=name, read=[Piece(name)]))
    assert "".join(span.text for span in tree.shown()) == "a\na\n\nb\nb"
