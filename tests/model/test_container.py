"""The reader of tensors; what it must refuse is in tests/faults/test_models.py."""

import json
import os
import resource
import struct

import numpy as np
import pytest
import safetensors.torch
import torch

from rnn_tui.errors import OutOfMemoryError
from rnn_tui.model.container import BadModelFile, Container, open_container

GOOD = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def raw(header, data=b"\0" * 8, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


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


@pytest.mark.parametrize("read", [Container.read, Container.read_array])
def test_a_byte_that_is_neither_true_nor_false(tmp_path, read):
    path = tmp_path / "m.safetensors"
    header = {"yes": {"dtype": "BOOL", "shape": [2, 2], "data_offsets": [0, 4]}}
    path.write_bytes(raw(header, b"\0\1\1\0"))
    with open_container(path) as opened:
        assert read(opened, "yes").tolist() == [[False, True], [True, False]]
    path.write_bytes(raw(header, b"\0\1\7\0"))
    with (
        open_container(path) as opened,
        pytest.raises(BadModelFile, match="tensor 'yes' holds bytes that are neither"),
    ):
        read(opened, "yes")


def test_a_link_to_a_file_is_followed(tmp_path):
    (tmp_path / "m").write_bytes(raw(GOOD))
    (tmp_path / "link").symlink_to(tmp_path / "m")
    with open_container(tmp_path / "link") as opened:
        assert opened.read("a").tolist() == [0, 0]


def test_a_header_beyond_the_limit(tmp_path):
    path = tmp_path / "m.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 99_000_000) + b"{")
        file.truncate(100_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadModelFile, match="99000000 bytes"), open_container(path):
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def test_a_header_whose_length_looks_like_a_pickle(tmp_path):
    """0x280 = 640 bytes of header make a file begin with 80 02, as a pickle does."""
    header = json.dumps(GOOD).encode()
    (tmp_path / "m").write_bytes(raw(header + b" " * (640 - len(header))))
    with open_container(tmp_path / "m") as opened:
        assert list(opened.entries) == ["a"]


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
