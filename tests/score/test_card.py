"""Gathering figures, what counts as solved and as best, the sentence, and what is kept: all by hand."""

import dataclasses

import msgspec

from rnn_tui.score import cache
from rnn_tui.score.card import Card, Cell, Contender, Plan, Row, document, rows_of, solved_of
from rnn_tui.score.summary import summarise
from rnn_tui.score.wire import Measure, Point, Rate, Speed, Training


def measure(name, points, *, axis="lag", better="high", chance=0.125):
    """`points`: (at, value, score)."""
    found = tuple(Point(at=at, value=value, score=score, beyond=at > 50) for at, value, score in points)
    return Measure(name=name, axis=axis, unit="accuracy", chance=chance, better=better, points=found)


def training(who, *measures, group="copy", seed=1, problem=""):
    return Training(
        group=group,
        architecture=who,
        task=f"{group}()",
        seed=seed,
        hidden_size=9,
        parameters=1000,
        engine="eager",
        engine_reason="so",
        updates=10,
        planned=10,
        seconds=0.5,
        loss=1.0,
        problem=problem,
        measures=measures,
    )


def copies(who, *scores, seed=1):
    points = [(at, score, score) for at, score in zip((10, 50, 100), scores, strict=False)]
    return training(who, measure("copy", points), seed=seed)


TRAININGS = [
    copies("mine", 1.0, 0.95, 0.2),
    copies("mine", 1.0, 0.91, 0.4, seed=2),
    copies("mine", 0.8, 0.30, 0.6, seed=3),
    copies("gru", 1.0, 0.5, 0.95),
    copies("rnn", 0.1, 0.0, 0.0),
    training("mine", measure("text", [(0, 2.5, None)], axis="", better="low", chance=6.0), group="text"),
    training("gru", measure("text", [(0, 2.254, None)], axis="", better="low", chance=6.0), group="text"),
    training("rnn", measure("text", [(0, "nan", None)], axis="", better="low", chance=6.0), group="text"),
]


def rows():
    return {(row.measure, row.at): row for row in rows_of(TRAININGS, ["copy", "text"])}


def test_rows_are_medians_over_seeds_in_order():
    found = rows()
    assert list(found) == [("copy", 10), ("copy", 50), ("copy", 100), ("text", 0)]
    mine = found["copy", 50].cells["mine"]
    assert (mine.value, mine.least, mine.most, mine.score, mine.seeds) == (0.91, 0.30, 0.95, 0.91, 3)
    assert [row.beyond for row in found.values()] == [False, False, True, False]
    assert list(found["copy", 10].cells) == ["mine", "gru", "rnn"]


def test_the_best_as_shown():
    found = rows()
    assert found["copy", 10].best == {"mine", "gru"}
    assert found["copy", 50].best == {"mine"}
    assert found["copy", 100].best == {"gru"}
    assert found["text", 0].best == {"gru"}  # fewer bits are better, and NaN is not
    same = dataclasses.replace(found["copy", 10], cells={"a": found["copy", 10].cells["gru"]})
    assert same.best == set()
    assert dataclasses.replace(found["text", 0], better="").best == set()


def best(*scores, spread=0.0, better="high"):
    """Of architectures a, b, c ... with these scores, and seeds so far apart."""
    cells = {
        name: Cell(value=score, least=score - spread, most=score, score=score, seeds=3)
        for name, score in zip("abc", scores, strict=False)
    }
    row = dataclasses.replace(rows()["copy", 50], chance=0.0, better=better, cells=cells)
    return "".join(sorted(row.best))


def test_no_best_where_nothing_tells_it():
    assert best(0.03, 0.0, 0.01) == ""  # a guess
    assert best(0.1, 0.0) == "a"
    assert best(0.99, 0.98) == ""
    assert best(0.99, 0.98, 0.96) == "a"
    assert best(0.9, 0.7, spread=0.1) == "a"
    assert best(0.9, 0.7, spread=0.3) == ""  # the best is as far from itself


def test_solved_from_the_first_on():
    solved = solved_of(rows().values())
    assert solved == {"mine": {"copy": 50}, "gru": {"copy": 10}, "rnn": {"copy": 0}}


def speeds(train, sample):
    return {
        "train": Speed(median=train, least=train, most=train, busy=False),
        "sample": Speed(median=sample, least=sample, most=sample, busy=False),
    }


def contender(name, role):
    return Contender(
        name=name,
        role=role,
        package="p",
        version="1",
        source=None,
        options={},
        sizes={"copy": (9, 1000)},
        engine="eager",
        engine_reason="",
        problems={},
    )


def card(**changes):
    found = tuple(rows().values())
    return Card(
        machine="m",
        versions={},
        plan=Plan(names=("mine",)),
        seconds=1.0,
        complete=True,
        notes=(),
        contenders=(contender("mine", "scored"), contender("gru", "beside"), contender("rnn", "beside")),
        rows=found,
        solved=solved_of(found),
        rates=(
            Rate(architecture="mine", **speeds(130.0, 45.0)),
            Rate(architecture="gru", **speeds(100.0, 50.0)),
            Rate(architecture="rnn", **speeds(90.0, 80.0)),
        ),
        **changes,
    )


def test_the_sentence():
    assert summarise(card()) == (
        "mine remembers 50 steps where gru holds 10 and rnn none; reads at 2.50 bits per character (gru 2.25); "
        "trains at 1.30 and samples at 0.90 of gru's speed",
    )


def test_the_sentence_of_what_is_there():
    alone = dataclasses.replace(card(), contenders=(contender("mine", "scored"),), rates=())
    assert summarise(alone) == ("mine remembers 50 steps; reads at 2.50 bits per character",)
    everything = dataclasses.replace(
        alone,
        solved={"mine": {"copy": 100, "adding": 0, "brackets": 3}},
        rows=(
            *alone.rows,
            Row(
                group="brackets",
                measure="brackets",
                axis="depth",
                at=6,
                beyond=False,
                unit="",
                chance=None,
                better="high",
                cells={},
            ),
        ),
    )
    assert summarise(everything)[0].startswith(
        "mine remembers 100 or more steps; solved no length of adding; nests brackets to depth 3; reads at"
    )
    assert summarise(dataclasses.replace(alone, rows=(), solved={})) == ()


def test_what_none_solved_is_said_once():
    solved = {
        "mine": {"copy": 0, "adding": 0, "brackets": 0},
        "gru": {"copy": 0, "adding": 0, "brackets": 2},
        "rnn": {"copy": 0, "adding": 0, "brackets": 0},
    }
    first, second = summarise(dataclasses.replace(card(), solved=solved, rates=()))
    assert first == "none of the three solved a lag of copying or a length of adding"
    assert second == "mine solved no depth of brackets; reads at 2.50 bits per character (gru 2.25)"


def test_the_document_is_json():
    found = msgspec.json.decode(msgspec.json.encode(document(card(trainings=tuple(TRAININGS)))))
    assert found["solved"]["mine"] == {"copy": 50}
    assert found["trainings"][-1]["measures"][0]["points"][0]["value"] == "nan"
    assert found["plan"]["seeds"] == [1, 2, 3]


def test_what_went_well_is_kept(tmp_path):
    path = tmp_path / "scores" / "one.json"
    assert cache.read(path) is None
    cache.write(path, [copies("gru", 1.0), training("gru", problem="out of time")])
    assert cache.read(path) is None
    cache.write(path, [copies("gru", 1.0)])
    assert cache.read(path) == [msgspec.structs.replace(copies("gru", 1.0), cached=True)]
    path.write_text("{")
    assert cache.read(path) is None


def test_the_place_depends_on_everything():
    about = {"plugin": ["a", "1"], "seeds": [1, 2], "torch": "2"}
    assert cache.place(about) == cache.place(dict(reversed(about.items())))
    for other in ({"seeds": [1]}, {"torch": "3"}, {"plugin": ["a", "2"]}):
        assert cache.place(about | other) != cache.place(about)
