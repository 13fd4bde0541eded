"""A state that was saved is gone on from as if nothing had been between; what is not such a file is refused."""

import hashlib
import json
import os
import stat
import struct
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rnn_tui.errors import DiskError, DivergedError, InputError
from rnn_tui.inference import state_file
from rnn_tui.inference.config import SamplingConfig
from rnn_tui.inference.generate import generate, prime
from rnn_tui.inference.state_file import identity, read_about, read_state, save_state
from rnn_tui.inference.torch_reader import TorchReader
from rnn_tui.model.container import BadModelFile
from rnn_tui.model.file import load_model

FOX = "the quick brown fox\n"
ARCHITECTURES = ("lstm", "gru", "nn-lstm")
BEFORE = {"temperature": 1.2, "seed": 3, "length": 17}
AFTER = {"temperature": 1.2, "seed": 4, "length": 40}


def tokens_of(events):
    return [
        (piece["token"], piece["surprise"], piece["entropy"])
        for event in events
        if event["event"] == "pieces"
        for piece in event["pieces"]
    ]


def test_another_process_goes_on_bit_by_bit(engine, start, model_file, tmp_path):
    """From states of tuples and NamedTuples, of our cells and of torch's."""
    expected, nexts, models = {}, {}, {}
    for slot, arch in zip("abc", ARCHITECTURES, strict=True):
        models[slot] = str(model_file(text=FOX, arch=arch, hidden_size=12, seed=2))
        engine.ask(id=2, op="load", slot=slot, path=models[slot])
        done = engine.ask(id=3, op="generate", slot=slot, prompt="the quick", settings=BEFORE)[-1]
        [saved] = engine.ask(
            id=4, op="save", state=done["state"], path=str(tmp_path / slot), text=f"žť {arch}"
        )
        assert (saved["event"], saved["path"]) == ("saved", str(tmp_path / slot))
        assert saved["bytes"] == (tmp_path / slot).stat().st_size
        assert stat.S_IMODE((tmp_path / slot).stat().st_mode) == 0o600
        nexts[slot] = done["next"]
        events = engine.ask(id=5, op="generate", slot=slot, after=done["state"], settings=AFTER)
        expected[slot] = tokens_of(events)
        assert len(expected[slot]) == 40
    another = start()
    for slot, arch in zip("cab", ("nn-lstm", "lstm", "gru"), strict=True):
        another.ask(id=1, op="load", slot=slot, path=models[slot])
        [restored] = another.ask(id=2, op="restore", slot=slot, path=str(tmp_path / slot))
        assert (restored["event"], restored["text"]) == ("restored", f"žť {arch}")
        assert restored["next"] == nexts[slot]
        events = another.ask(id=3, op="generate", slot=slot, after=restored["state"], settings=AFTER)
        assert tokens_of(events) == expected[slot]
    [refused] = another.ask(id=4, op="restore", slot="a", path=str(tmp_path / "c"))
    assert (refused["exit_code"], "of another model (r, step 7 (nn-lstm, char))" in refused["message"]) == (
        3,
        True,
    )
    assert another.ask(id=5, op="next", slot="a")[0]["event"] == "next"
    assert another.close() == 0


# -- in this process --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(model_file):
    """A model, what it knows after a text, and its file."""
    path = model_file(text=FOX, hidden_size=6)
    model, tokenizer, header = load_model(path)
    reader = TorchReader(model)
    primed = prime(reader, tokenizer, "the quick")
    return SimpleNamespace(
        path=path,
        reader=reader,
        tokenizer=tokenizer,
        header=header,
        primed=primed,
        own=identity(model, header),
    )


def save(model, path, text="the quick", primed=None):
    return save_state(
        path, primed or model.primed, text, reader=model.reader, header=model.header, model=model.own
    )


def read(model, path):
    return read_state(path, reader=model.reader, tokenizer=model.tokenizer, model=model.own)


def test_all_of_it_comes_back(model, tmp_path):
    save(model, tmp_path / "s")
    primed, text = read(model, tmp_path / "s")
    assert text == "the quick"
    assert primed.held == ()
    for found, expected in zip(primed.state, model.primed.state, strict=True):
        assert torch.equal(found, expected)
        assert found.dtype == expected.dtype
    np.testing.assert_array_equal(primed.logits, model.primed.logits)
    about = read_about(tmp_path / "s")
    assert (about.run, about.step, about.architecture, about.tokenizer) == ("r", 7, "lstm", "char")
    assert about.model == model.own


def test_a_character_half_read_is_finished(spelling, byte_tokenizer, tmp_path):
    reader = TorchReader(spelling("ab漢e"))
    half = generate(
        reader, byte_tokenizer, prime(reader, byte_tokenizer, "ab"), SamplingConfig(greedy=True, length=2)
    )
    assert [piece.text for piece in half] == ["", ""]
    assert half.primed.held == (0xE6, 0xBC)
    header = SimpleNamespace(architecture={"name": "last"}, tokenizer={"name": "byte"}, training={})
    save_state(tmp_path / "s", half.primed, "ab", reader=reader, header=header, model="0" * 64)
    primed, _ = read_state(tmp_path / "s", reader=reader, tokenizer=byte_tokenizer, model="0" * 64)
    rest = generate(reader, byte_tokenizer, primed, SamplingConfig(greedy=True, length=2))
    assert "".join(piece.text for piece in rest) == "漢e"


def test_the_end_of_a_long_text_is_kept_whatever_is_in_it(model, tmp_path):
    text = "[" * 70_000 + 'žť\U0001f600\\"\n' * 10_000
    save(model, tmp_path / "s", text)
    assert read(model, tmp_path / "s")[1] == text[-100_000:]
    save(model, tmp_path / "s", "")
    assert read(model, tmp_path / "s")[1] == ""


def test_only_a_state_is_written_over(model, tmp_path):
    save(model, tmp_path / "s", "one")
    save(model, tmp_path / "s", "two")
    assert read(model, tmp_path / "s")[1] == "two"
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "empty").touch()
    (tmp_path / "model").write_bytes(model.path.read_bytes())
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("notes", "empty", "model", "link", "pipe", "."):
        before = (tmp_path / name).read_bytes() if name in ("notes", "empty", "model") else None
        with pytest.raises(InputError, match="no saved state, and so is not written over"):
            save(model, tmp_path / name)
        assert before is None or (tmp_path / name).read_bytes() == before
    assert (tmp_path / "link").is_symlink()
    with pytest.raises(DiskError, match="No such file"):
        save(model, tmp_path / "none" / "s")
    with pytest.raises(InputError, match="no file can have this name"):
        save(model, Path("a\0b"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "empty",
        "link",
        "model",
        "notes",
        "pipe",
        "s",
    ]


def test_a_state_that_is_no_number_is_not_saved(model, tmp_path):
    wrong = replace(model.primed, state=tuple(leaf * float("inf") for leaf in model.primed.state))
    with pytest.raises(DivergedError):
        save(model, tmp_path / "s", primed=wrong)
    wrong = replace(model.primed, logits=model.primed.logits * np.float32("nan"))
    with pytest.raises(DivergedError):
        save(model, tmp_path / "s", primed=wrong)
    assert not (tmp_path / "s").exists()


def test_identity_is_of_what_the_model_computes(model, model_file):
    def own(path, change=lambda model, header: None):
        found, _, header = load_model(path)
        return identity(found, change(found, header) or header)

    assert own(model.path) == model.own
    assert own(model_file(text=FOX, hidden_size=6, step=9, best=True, run="copy")) == model.own

    def one_bit(found, header):
        with torch.no_grad():
            weight = found.head.weight.view(-1)
            weight[5] = torch.nextafter(weight[5], torch.tensor(1.0))

    changed = {
        own(model.path, one_bit),
        own(model_file(text=FOX, hidden_size=6, seed=1)),
        # the same weights and as many symbols, but other ones
        own(model_file(text=FOX.replace("q", "z"), hidden_size=6)),
        own(model.path, lambda found, header: replace(header, config={"model": {"options": {"x": 1}}})),
    }
    assert len(changed | {model.own}) == 5


def test_places_of_leaves():
    Pair = namedtuple("Pair", "h c")
    assert state_file._paths(({"b": Pair(1, 2), "a": 3}, (4, (5,)), [6])) == [
        *("0.b.h", "0.b.c", "0.a", "1.0", "1.1.0", "2.0"),
    ]
    assert state_file._paths(7) == [""]


# -- files of somebody else -------------------------------------------------------------------------------------------


def parts(path):
    """Metadata and tensors (dtype, shape, bytes) of a safetensors file, read by hand."""
    data = path.read_bytes()
    [length] = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    about = json.loads(header.pop("__metadata__")["rnn_tui_state"])
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], data[8 + length + begin : 8 + length + end])
    return about, tensors


def write(path, about, tensors, *, sign=True):
    """The file of these, with the sum that belongs to it."""
    if sign:
        own = json.dumps(about | {"sum": ""}, separators=(",", ":"), sort_keys=True).encode()
        digest = hashlib.sha256(own + b"".join(tensors[name][2] for name in sorted(tensors)))
        about = about | {"sum": digest.hexdigest()}
    header, end = {"__metadata__": {"rnn_tui_state": json.dumps(about)}}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header).encode()
    data = b"".join(data for _, _, data in tensors.values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


NAN = struct.pack("<f", float("nan"))
V = len(set(FOX)) + 1
ABOUT = [
    ({"format": 2}, "made by a newer rnn-tui"),
    ({"format": "1"}, "not what this version writes"),
    ({"more": 1}, "not what this version writes"),
    ({"model": "x"}, "cannot be read"),
    ({"model": "0" * 64}, "of another model"),
    ({"step": -1}, "cannot be read"),
    ({"run": 5}, "cannot be read"),
    ({"run": "x" * 5000}, "cannot be read"),
    ({"held": [V]}, "tokens that the model does not have"),
    ({"held": [1] * 65}, "cannot be read"),
    ({"held": [-1]}, "cannot be read"),
    ({"leaves": ["0.c", "0.h"]}, "the parts of its state are others"),
    ({"leaves": []}, "the parts of its state are others"),
]
TENSORS = [
    ({"state.0": None}, "'state.0' is missing"),
    ({"logits": None}, "'logits' is missing"),
    ({"text": None}, "'text' is missing"),
    ({"state.2": ("F32", [1], b"\0" * 4)}, "'state.2' is too many"),
    ({"state.1": ("F32", [1, 5], b"\0" * 20)}, r"'state.1' is F32 \[1, 5\], not F32 \[1, 6\]"),
    ({"state.1": ("F32", [6], b"\0" * 24)}, r"'state.1' is F32 \[6\]"),
    ({"state.1": ("I32", [1, 6], b"\0" * 24)}, "'state.1' is I32"),
    ({"state.0": ("F32", [1, 6], NAN * 6)}, "it holds NaN or infinity"),
    ({"state.0": ("F32", [1, 6], struct.pack("<f", float("inf")) * 6)}, "it holds NaN or infinity"),
    ({"logits": ("F32", [V], NAN * V)}, "it holds NaN or infinity"),
    ({"logits": ("F64", [V], b"\0" * 8 * V)}, "'logits' is F64"),
    ({"logits": ("F32", [V + 1], b"\0" * 4 * (V + 1))}, "'logits' is F32"),
    ({"text": ("U8", [2], b"\xff\xfe")}, "its text is not UTF-8"),
    ({"text": ("U8", [400_001], b"a" * 400_001)}, "'text' is U8"),
    ({"text": ("F32", [1], b"\0" * 4)}, "'text' is F32"),
]


def refusal(model, path):
    with pytest.raises(InputError) as caught:
        read(model, path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return caught


def test_files_made_by_hand_are_refused(model, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    save(model, good)
    about, tensors = parts(good)
    write(bad, about, tensors)
    assert read(model, bad)[1] == "the quick"  # so that it is the change that is refused
    for change, reason in ABOUT:
        write(bad, about | change, tensors)
        refusal(model, bad).match(reason)
    for change, reason in TENSORS:
        changed = {name: value for name, value in {**tensors, **change}.items() if value}
        write(bad, about, changed)
        refusal(model, bad).match(reason)
    write(bad, about | {"step": 8}, tensors, sign=False)
    refusal(model, bad).match("damaged: it is not what was written")
    refusal(model, model.path).match("not a state saved by rnn-tui")
    refusal(model, tmp_path).match("a folder")
    refusal(model, tmp_path / "none").match("No such file")
    bad.write_bytes(b"\x80\x04\x95 pickle")
    refusal(model, bad).match("a Python pickle")


def test_cut_short_or_one_bit_changed(model, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    size = save(model, good)
    whole = good.read_bytes()
    for end in (*range(0, 80, 7), *range(80, size, 97), size - 1):
        bad.write_bytes(whole[:end])
        assert isinstance(refusal(model, bad).value, BadModelFile)
    free = []
    for at in range(0, size, 3):
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        try:
            read(model, bad)
        except InputError:
            continue
        free.append(whole[at : at + 1])
    assert free == []


def test_a_list_of_states_needs_no_torch(model, tmp_path):
    import subprocess
    import sys

    save(model, tmp_path / "s")
    code = (
        "import sys; from pathlib import Path; from rnn_tui.inference.state_file import read_about; "
        "print(read_about(Path(sys.argv[1])).maker); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "r, step 7 (lstm, char)\n")
