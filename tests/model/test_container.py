"""The strict reader, against files that the library accepts or chokes on."""

import gzip
import json
import os
import pickle
import resource
import struct
import time
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from rnn_tui.errors import OutOfMemoryError
from rnn_tui.model import container
from rnn_tui.model.container import BadModelFile, open_container

GOOD = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def raw(header, data=b"\0" * 8, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


@pytest.fixture
def refused(tmp_path):
    """Write bytes, open them and return the message of the refusal."""

    def check(content):
        path = tmp_path / "m.safetensors"
        path.write_bytes(content)
        with pytest.raises(BadModelFile) as caught, open_container(path):
            pass
        message = str(caught.value)
        assert message.startswith(str(path))
        assert "\n" not in message
        return message

    return check


def test_every_dtype_as_the_library_writes_it(tmp_path):
    tensors = {
        "f64": torch.randn(3, dtype=torch.float64),
        "f32": torch.randn(2, 3),
        "f16": torch.randn(5).half(),
        "bf16": torch.randn(5).bfloat16(),
        "i64": torch.tensor([-(2**60), 5]),
        "i32": torch.tensor([[1], [-2]], dtype=torch.int32),
        "u8": torch.arange(3, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
    }
    path = tmp_path / "m.safetensors"
    safetensors.torch.save_file(tensors, path, {"k": "v"})
    with open_container(path) as opened:
        assert opened.metadata == {"k": "v"}
        assert set(opened.entries) == set(tensors)
        read = {name: opened.read(name) for name in tensors}
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)
        assert read[name].shape == tensor.shape


def test_arrays_are_the_tensors_and_half_precision_is_float32(tmp_path):
    tensors = {"a": torch.randn(5, 3).bfloat16(), "b": torch.randn(4).half(), "c": torch.randn(2).double()}
    tensors |= {"d": torch.tensor(2.5).bfloat16(), "e": torch.zeros(0, 4), "f": torch.tensor([True, False])}
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors.torch.save(tensors))
    with open_container(path) as opened:
        for name, tensor in tensors.items():
            wanted = tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
            found = opened.read_array(name)
            assert found.dtype == wanted.numpy().dtype
            np.testing.assert_array_equal(found, wanted.numpy())


def test_what_was_read_survives_the_file(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors.torch.save({"a": torch.arange(100_000.0)}))
    with open_container(path) as opened:
        tensor = opened.read("a")
        os.truncate(path, 200)  # a mapped tensor would now kill the process with SIGBUS
        for read in (opened.read, opened.read_array):
            with pytest.raises(BadModelFile, match="changed while it was read"):
                read("a")
    assert torch.equal(tensor, torch.arange(100_000.0))


def test_a_link_to_a_file_is_followed(tmp_path):
    (tmp_path / "m").write_bytes(raw(GOOD))
    (tmp_path / "link").symlink_to(tmp_path / "m")
    with open_container(tmp_path / "link") as opened:
        assert opened.read("a").tolist() == [0, 0]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 20])
def test_cut_in_the_header(refused, size):
    message = refused(raw(GOOD)[:size])
    assert ("empty" if size == 0 else "cut short") in message


def test_cut_or_long_data(refused):
    whole = raw(GOOD)
    assert "cut short" in refused(whole[:-1])
    assert "3 bytes too many" in refused(whole + b"xyz")


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9])
def test_a_header_length_that_lies(refused, length):
    assert "cut short" in refused(raw(GOOD, length=length))


def test_a_header_beyond_the_limit(tmp_path):
    path = tmp_path / "m.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 99_000_000) + b"{")
        file.truncate(100_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadModelFile, match="99000000 bytes"), open_container(path):
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def test_more_tensors_than_the_limit_are_refused_before_they_are_parsed(refused):
    entries = b",".join(
        b'"%06d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % i for i in range(250_000)
    )
    begin = time.perf_counter()
    assert "more than 4096 tensors" in refused(raw(b"{" + entries + b"}", b""))
    assert time.perf_counter() - begin < 1.0


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b'{"a":1,"a":1}', "a key stands twice"),
        (b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "a key stands twice"),
        (b" " + json.dumps(GOOD).encode(), "does not begin with {"),
        (b"[]", "does not begin with {"),
        (b"{nonsense", ""),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a":' + b"9" * 5000 + b"}", "integer string conversion"),
        (b'{"\xff":1}', "utf-8"),
        ({"__metadata__": {"k": 1}} | GOOD, "metadata"),
        ({"__metadata__": "k"} | GOOD, "metadata"),
        ({"a": 3}, "not described"),
        ({"a": GOOD["a"] | {"extra": 1}}, "not described"),
        ({"a": {"dtype": "F32", "shape": [2]}}, "not described"),
        ({"a": GOOD["a"] | {"dtype": "F8_E4M3", "shape": [8]}}, "F8_E4M3"),
        ({"a": GOOD["a"] | {"dtype": "C64", "shape": [1]}}, "C64"),
        ({"a": GOOD["a"] | {"dtype": ["F32"]}}, "dtype"),
        ({"a": GOOD["a"] | {"shape": [True, 2]}}, "shape"),
        ({"a": GOOD["a"] | {"shape": [-2]}}, "shape"),
        ({"a": GOOD["a"] | {"shape": [2.0]}}, "shape"),
        ({"a": GOOD["a"] | {"shape": "2"}}, "shape"),
        ({"a": GOOD["a"] | {"shape": [1] * 8 + [2]}}, "shape"),
        ({"a": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}}, "shape"),
        ({"a": GOOD["a"] | {"shape": [3]}}, "8 bytes do not hold F32 [3]"),
        ({"a": GOOD["a"] | {"shape": [2**40, 2**40]}}, "8 bytes do not hold"),
        ({"a": GOOD["a"] | {"data_offsets": [8, 0]}}, "data_offsets"),
        ({"a": GOOD["a"] | {"data_offsets": [0, 8, 8]}}, "data_offsets"),
        ({"a": GOOD["a"] | {"data_offsets": [-8, 0]}}, "data_offsets"),
        ({"a": GOOD["a"] | {"data_offsets": [0.0, 8.0]}}, "data_offsets"),
        ({"a": GOOD["a"] | {"data_offsets": [4, 12]}}, "hole"),
        (GOOD | {"b": GOOD["a"]}, "overlaps"),
        (GOOD | {"b": GOOD["a"] | {"data_offsets": [4, 12]}}, "overlaps"),
        (GOOD | {"b": GOOD["a"] | {"data_offsets": [12, 20]}}, "hole"),
        ({"n" * 300: GOOD["a"]}, "name of 300 characters"),
    ],
)  # fmt: skip
def test_wrong_headers(refused, header, reason):
    assert reason in refused(raw(header))


def test_names_from_the_file_are_not_printed_raw(refused):
    message = refused(raw({"\x1b]52;c;aGk=\x07": GOOD["a"] | {"data_offsets": [4, 12]}}))
    assert "\x1b" not in message
    assert "\x07" not in message


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: torch.save({"a": torch.zeros(2)}, path), "torch.save"),
        (
            lambda path: path.write_bytes(pickle.dumps({"a": list(range(100))})),
            "pickle, which rnn-tui never opens",
        ),
        (lambda path: path.write_bytes(gzip.compress(raw(GOOD))), "gzip"),
        (lambda path: zipfile.ZipFile(path, "w").writestr("x", "y" * 100), "zip archive"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
            "git lfs pull",
        ),
        (lambda path: path.write_text("\n<!DOCTYPE html><html><title>404</title>"), "web page"),
        (lambda path: path.write_text("GGUF" + "x" * 40), "GGUF"),
        (lambda path: path.write_text("Once upon a time there was a text."), "not a safetensors file"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, make, kind):
    path = tmp_path / "m.safetensors"
    make(path)
    with pytest.raises(BadModelFile, match=kind), open_container(path):
        pass


def test_a_header_whose_length_looks_like_a_pickle(tmp_path):
    """0x280 = 640 bytes of header make a file begin with 80 02, as a pickle does."""
    header = json.dumps(GOOD).encode()
    (tmp_path / "m").write_bytes(raw(header + b" " * (640 - len(header))))
    with open_container(tmp_path / "m") as opened:
        assert list(opened.entries) == ["a"]


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, reason in (
        (tmp_path / "fifo", "not a regular file"),
        (tmp_path, "a folder"),
        (tmp_path / "absent", "No such file"),
    ):
        with pytest.raises(BadModelFile, match=reason), open_container(path):
            pass
    with pytest.raises(BadModelFile, match="not a regular file"), open_container(container.Path("/dev/zero")):
        pass


def test_a_file_larger_than_memory(tmp_path):
    size = 2**42
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path = tmp_path / "m"
    try:
        with path.open("wb") as file:
            file.write(raw(header, b""))
            file.truncate(8 + len(header) + size)
    except OSError:
        pytest.skip("no sparse file of this size here")
    with open_container(path) as opened, pytest.raises(OutOfMemoryError, match=r"takes 8796.1 GB"):
        opened.check_memory()


def test_random_damage_is_refused_or_harmless(tmp_path):
    """2,000 mutants: no exception but BadModelFile, and what is accepted has all its bytes."""
    rng = np.random.default_rng(0)
    good = safetensors.torch.save({"a": torch.randn(3, 4), "b": torch.arange(5)}, {"k": '{"x":1}'})
    path = tmp_path / "m"
    accepted = 0
    for _ in range(2000):
        data = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(0, len(data)))
            match int(rng.integers(0, 4)):
                case 0:
                    data[at] = int(rng.integers(0, 256))
                case 1:
                    del data[at:]
                case 2:
                    data[at:at] = rng.bytes(int(rng.integers(1, 9)))
                case 3:
                    del data[at : at + int(rng.integers(1, 9))]
            if not data:
                break
        path.unlink(missing_ok=True)  # overwriting in place makes ext4 wait for the disk
        path.write_bytes(data)
        try:
            with open_container(path) as opened:
                for name, entry in opened.entries.items():
                    assert opened.read(name).shape == entry.shape
                accepted += 1
        except BadModelFile:
            pass
    assert 0 < accepted < 1500
