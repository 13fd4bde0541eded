"""Several models in one engine, steering by a token, and several completions at once."""

import gc
import hashlib
import json
import math
import shutil
import weakref
from types import SimpleNamespace

import pytest

from rnn_tui.errors import InputError
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.continuing import read_token
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.slots import Slots
from rnn_tui.inference.torch_reader import TorchReader
from rnn_tui.model.file import load_model
from rnn_tui.model.manifest import encode_manifest

FOX = "the quick brown fox\n"
GREEDY = {"greedy": True, "length": 20}


@pytest.fixture(scope="module")
def other(model_file):
    return model_file(text=FOX, hidden_size=24, arch="gru", seed=1)


def pieces_of(events):
    return [piece for event in events if event["event"] == "pieces" for piece in event["pieces"]]


def greedy(path, prompt):
    """The tokens that the library draws."""
    model, tokenizer, _ = load_model(path)
    reader = TorchReader(model)
    pieces = generate(reader, tokenizer, prime(reader, tokenizer, prompt), SamplingConfig(**GREEDY))
    return [piece.token for piece in pieces]


# -- slots ------------------------------------------------------------------------------------------------------------


def test_two_models_side_by_side(engine, fox, other):
    assert engine.ask(id=2, op="load", slot="a", path=str(other))[0]["slot"] == "a"
    assert greedy(fox, "the") != greedy(other, "the")
    states = {}
    for slot, path in (("main", fox), ("a", other), ("main", fox)):
        events = engine.ask(id=3, op="generate", slot=slot, prompt="the", settings=GREEDY)
        assert [piece["token"] for piece in pieces_of(events)] == greedy(path, "the")
        states[slot] = events[-1]["state"]
    # a state belongs to its model
    [refused] = engine.ask(id=4, op="next", slot="a", after=states["main"])
    assert (refused["exit_code"], "of the model in slot 'main'" in refused["message"]) == (3, True)
    # and goes with it, and with no other
    engine.send(op="unload", slot="a")
    engine.send(op="unload", slot="never seen")
    [gone] = engine.ask(id=5, op="next", slot="a", after=states["a"])
    assert gone["message"] == "no model is loaded in slot 'a'; send a load first"
    engine.ask(id=6, op="load", slot="a", path=str(other))
    assert "no longer kept" in engine.ask(id=7, op="next", slot="a", after=states["a"])[0]["message"]
    assert engine.ask(id=8, op="next", after=states["main"])[0]["event"] == "next"


def test_four_models_and_no_more(engine, fox, other):
    for slot in "abc":
        engine.ask(id=2, op="load", slot=slot, path=str(other))
    state = engine.ask(id=3, op="generate", slot="c", settings=GREEDY)[-1]["state"]
    [refused] = engine.ask(id=4, op="load", slot="d", path=str(fox))
    assert (refused["exit_code"], "4 models" in refused["message"]) == (2, True)
    # a load that fails leaves what was there
    assert engine.ask(id=5, op="load", slot="c", path="/nowhere")[0]["event"] == "error"
    assert engine.ask(id=6, op="next", slot="c", after=state)[0]["event"] == "next"
    assert engine.ask(id=7, op="load", slot="c", path=str(fox))[0]["arch"] == "lstm"
    engine.send(op="unload", slot="b")
    assert engine.ask(id=8, op="load", slot="d", path=str(fox))[0]["event"] == "loaded"
    engine.send(op="unload", slot="d")


def test_what_is_put_away_leaves_the_memory(fox):
    slots = Slots()
    loaded = slots.load("main", fox, "cpu")
    primed = prime(loaded.reader, loaded.tokenizer, "the")
    number, model = slots.keep(loaded, primed), weakref.ref(loaded.reader.model)
    list(generate(loaded.reader, loaded.tokenizer, primed, SamplingConfig(length=5)))
    slots.unload("main")
    del loaded, primed
    gc.collect()
    assert model() is None
    with pytest.raises(InputError, match="no longer kept"):
        slots.kept(number)


def test_the_newest_states_of_all_slots_are_kept(engine, other):
    engine.ask(id=2, op="load", slot="a", path=str(other))
    first = engine.ask(id=3, op="generate", slot="a", settings={"length": 0})[-1]["state"]
    for number in range(4):  # 4 x 64 = 256
        engine.ask(id=4 + number, op="batch", n=64, settings={"length": 0})
    assert engine.ask(id=9, op="next", slot="a", after=first)[0]["event"] == "error"
    assert engine.ask(id=10, op="next", after=first + 1)[0]["event"] == "next"


# -- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path, fox):
    """A folder as training writes it; only the model in it is looked at."""
    folder = tmp_path / "checkpoints" / "step-00000007"
    folder.mkdir(parents=True)
    shutil.copy(fox, folder / "model.safetensors")
    (folder / "train.safetensors").write_bytes(b"")
    (folder / "state.json").write_bytes(b"")
    files = {
        path.name: {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in folder.iterdir()
    }
    (folder / "manifest.json").write_bytes(encode_manifest("a run", 7, {}, files))
    return folder


def test_a_checkpoint_is_a_model(engine, fox, checkpoint):
    [loaded] = engine.ask(id=2, op="load", slot="a", path=f"{checkpoint}/")
    assert (loaded["event"], loaded["step"]) == ("loaded", 7)
    events = engine.ask(id=3, op="generate", slot="a", prompt="the", settings=GREEDY)
    assert [piece["token"] for piece in pieces_of(events)] == greedy(fox, "the")


def test_a_folder_that_is_no_whole_checkpoint_is_refused(engine, checkpoint):
    def refusal(path):
        [event] = engine.ask(id=2, op="load", slot="a", path=str(path))
        assert (event["event"], event["exit_code"]) == ("error", 3)
        return event["message"]

    assert "not that of a checkpoint" in refusal(checkpoint.parent)
    path = checkpoint / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "step-00000007: model.safetensors is damaged" in refusal(checkpoint)
    path.unlink()
    assert "model.safetensors: No such file" in refusal(checkpoint)
    path.write_bytes(whole)
    renamed = checkpoint.rename(checkpoint.with_name("step-00000008"))
    assert "does not describe a checkpoint of step 8" in refusal(renamed)
    (renamed / "manifest.json").unlink()
    assert "manifest.json: No such file" in refusal(renamed)


# -- one token --------------------------------------------------------------------------------------------------------


def test_push_reads_the_token_that_was_picked(engine):
    [table] = engine.ask(id=2, op="next", prompt="the", top=50)
    assert len(table["next"]) == len(set(FOX)) + 1  # as many as there are
    state = engine.ask(id=3, op="generate", prompt="the", settings={"length": 0})[-1]["state"]
    for rank in (0, 3, 11):
        token, text, probability = table["next"][rank]
        [pushed] = engine.ask(id=4, op="push", after=state, token=token, top=3)
        piece = pushed["piece"]
        assert (piece["token"], piece["rank"], piece["text"]) == (token, rank, text)
        assert piece["surprise"] == pytest.approx(-math.log(probability))
        entropy = -sum(p * math.log(p) for _, _, p in table["next"])
        assert piece["entropy"] == pytest.approx(entropy)
        # what comes after it is what comes after it in a prompt
        [after] = engine.ask(id=5, op="next", prompt=f"the{text}", top=3)
        assert [row[:2] for row in pushed["next"]] == [row[:2] for row in after["next"]]
        assert [row[2] for row in pushed["next"]] == pytest.approx([row[2] for row in after["next"]])
        [again] = engine.ask(id=6, op="next", after=pushed["state"], top=3)
        assert again["next"] == pushed["next"]


def test_push_at_the_beginning_follows_the_table_shown_there(engine):
    [table] = engine.ask(id=2, op="next")
    token, _, probability = table["next"][2]
    [pushed] = engine.ask(id=3, op="push", token=token)
    assert pushed["piece"]["rank"] == 2
    assert pushed["piece"]["surprise"] == pytest.approx(-math.log(probability))


def test_half_a_character_is_held_back(spelling, byte_tokenizer):
    reader = TorchReader(spelling("a漢b"))
    loaded = SimpleNamespace(reader=reader, tokenizer=byte_tokenizer)
    primed, texts = prime(reader, byte_tokenizer, "a"), []
    for byte in "漢b".encode():
        primed, piece = read_token(loaded, primed, byte)
        texts.append((piece.text, len(primed.held)))
    assert texts == [("", 1), ("", 2), ("漢", 0), ("b", 0)]


# -- symbols that are not in the vocabulary ---------------------------------------------------------------------------


def test_unknown_symbols_are_marked_in_the_prompt(engine):
    prompt = engine.ask(id=2, op="generate", prompt="thž漢e", settings=GREEDY)[0]
    marks = [(piece["text"], piece.get("unknown"), piece.get("source")) for piece in prompt["pieces"]]
    assert marks == [
        ("t", None, None),
        ("h", None, None),
        ("\ufffd", True, "ž"),
        ("\ufffd", True, "漢"),
        ("e", None, None),
    ]


# -- a look inside ----------------------------------------------------------------------------------------------------


def test_each_slot_is_looked_into_by_itself(engine, other):
    engine.ask(id=2, op="load", slot="a", path=str(other))
    events = engine.ask(id=3, op="read", slot="a", text="the fox")
    assert (events[-1]["event"], "".join(events[-1]["texts"])) == ("trace", "the fox")
    units = engine.ask(id=4, op="units", slot="a", pattern="whitespace", top=3)[-1]
    assert units["marked"] == [0, 0, 0, 1, 0, 0, 0]
    [refused] = engine.ask(id=5, op="gates", pattern="whitespace")
    assert (refused["event"], refused["exit_code"]) == ("error", 2)
    assert (
        engine.ask(id=6, op="units", pattern="whitespace")[0]["event"] == "error"
    )  # nothing was read in "main"
    engine.send(id=7, op="read", text="the fox " * 100_000)
    engine.send(op="cancel", target=7)
    assert engine.answer(7)[-1]["exit_code"] == 130
    assert engine.ask(id=8, op="next", prompt="a")[0]["event"] == "next"


# -- several completions ----------------------------------------------------------------------------------------------


def test_rows_of_a_batch_are_what_their_seeds_give(engine):
    settings = {"seed": 5, "temperature": 0.9, "length": 80, "stop": ["th", "qu", "ox"]}
    prompt, *rows, done = engine.ask(id=2, op="batch", prompt="the ", settings=settings, n=6)
    assert [piece["text"] for piece in prompt["pieces"]] == list("the ")
    rows = [row for row in rows if row["event"] == "row"]
    assert sorted(row["row"] for row in rows) == list(range(6))
    assert {row["reason"] for row in rows} == {"stop", "length"}
    late = [row["tokens"] > 64 for row in rows]
    assert late == sorted(late)  # each is given when it is complete; 64 tokens are drawn at once
    assert (done["reason"], done["tokens"]) == ("length", sum(row["tokens"] for row in rows))
    for row in rows:
        alone = engine.ask(id=3, op="generate", prompt="the ", settings=settings | {"seed": row["seed"]})
        assert row["seed"] == 5 + row["row"]
        assert (row["reason"], row["tokens"]) == (alone[-1]["reason"], alone[-1]["tokens"])
        for found, expected in zip(row["pieces"], pieces_of(alone), strict=True):
            assert [found[key] for key in ("text", "token", "rank")] == [
                expected[key] for key in ("text", "token", "rank")
            ]
            assert found["surprise"] == pytest.approx(expected["surprise"], abs=1e-4)
            assert found["entropy"] == pytest.approx(expected["entropy"], abs=1e-4)
        assert [token for token, *_ in row["next"]] == [token for token, *_ in alone[-1]["next"]]
        # a row can be gone on from
        on, expected = (
            [
                piece["token"]
                for piece in pieces_of(engine.ask(id=4, op="generate", after=state, settings=GREEDY))
            ]
            for state in (row["state"], alone[-1]["state"])
        )
        assert on == expected


def test_a_cancelled_batch_gives_what_there_is(engine):
    engine.send(id=2, op="batch", prompt="a", settings={"length": 12_000, "seed": 1}, n=4)
    events = [engine.next()]
    while events[-1]["event"] != "progress":
        events.append(engine.next())
    engine.send(op="cancel", target=2)
    *rows, done = engine.answer(2)
    rows = [row for row in rows if row["event"] == "row"]
    assert [row["reason"] for row in rows] == ["cancelled"] * 4
    assert (done["reason"], done["tokens"]) == ("cancelled", sum(row["tokens"] for row in rows))
    assert 0 < events[-1]["tokens"] <= done["tokens"] < 48_000
    assert all(len(row["pieces"]) == row["tokens"] for row in rows)
    on = engine.ask(id=3, op="generate", after=rows[2]["state"], settings=GREEDY)
    assert on[-1]["reason"] == "length"


def test_a_batch_cancelled_while_its_prompt_is_read(engine):
    engine.send(id=2, op="batch", prompt="the fox " * 200_000, n=2)
    engine.send(op="cancel", target=2)
    [done] = engine.answer(2)
    assert (done["reason"], done["tokens"], done["state"]) == ("cancelled", 0, None)


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ({"op": "batch"}, 2, "required field `n`"),
        ({"op": "batch", "n": 0}, 2, ">= 1"),
        ({"op": "batch", "n": 65}, 2, "<= 64"),
        ({"op": "batch", "n": 64, "settings": {"length": 782}}, 2, "than the 50,000 of a batch"),
        ({"op": "batch", "n": 2, "settings": {"seed": -1}}, 2, "sampling setting seed"),
        ({"op": "batch", "n": 2, "from": 10**30}, 3, "no longer kept"),
        ({"op": "batch", "n": 2, "from": 99_999}, 3, "no longer kept"),
        ({"op": "next", "top": 51}, 2, "<= 50"),
        ({"op": "next", "slot": ""}, 2, "length >= 1"),
        ({"op": "next", "slot": "x" * 65}, 2, "length <= 64"),
        ({"op": "push"}, 2, "required field `token`"),
        ({"op": "push", "token": -1}, 2, "no token -1; this model has 18, from 0"),
        ({"op": "push", "token": 18}, 2, "no token 18"),
        ({"op": "push", "token": 1, "from": 99_999}, 3, "no longer kept"),
        ({"op": "load", "slot": "a", "path": "/"}, 3, "not that of a checkpoint"),
        ({"op": "load", "slot": "a", "path": "x" * 300}, 3, "File name too long"),
        ({"op": "save", "state": 99_999, "path": "x"}, 3, "no longer kept"),
        ({"op": "save", "path": "x"}, 2, "required field `state`"),
        ({"op": "restore", "path": "/dev/zero"}, 3, "a device"),
        ({"op": "restore", "slot": "b", "path": "x"}, 2, "slot 'b'"),
        ({"op": "restore", "path": "x\0y"}, 3, "no file can have this name"),
    ],
)
def test_what_is_wrong_is_refused_and_the_engine_lives(engine, line, code, message):
    engine.send_raw(json.dumps({"id": 9, **line}).encode())
    [event] = engine.answer(9)
    assert (event["event"], event["exit_code"]) == ("error", code)
    assert message in event["message"]
    assert engine.ask(id=10, op="next", prompt="a")[0]["event"] == "next"


def test_a_model_of_labels_takes_no_part(engine, model_file):
    engine.ask(id=2, op="load", slot="a", path=str(model_file(text=FOX, task="aligned")))
    for number, message in enumerate(
        ({"op": "next"}, {"op": "batch", "n": 2}, {"op": "push", "token": 1}, {"op": "restore", "path": "x"})
    ):
        [refused] = engine.ask(id=3 + number, slot="a", **message)
        assert (refused["exit_code"], "no next token" in refused["message"]) == (2, True)
