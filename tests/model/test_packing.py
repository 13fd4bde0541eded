import pytest
import safetensors.torch
import torch

from rnn_tui.errors import PluginError
from rnn_tui.model.packing import Block


def written(packed, metadata=None):
    return b"".join(packed.chunks(metadata))


def test_the_bytes_are_those_of_the_library():
    tensors = {
        "b": torch.randn(3, 4),
        "a": torch.randn(5),
        "scalar": torch.tensor(2.0),
        "empty": torch.empty(0, 3),
        "ž": torch.ones(1),
    }
    metadata = {"rnn_tui": '{"a":"q\\n\\\\"}'}
    ours = written(Block().pack({n: t for n, t in tensors.items() if n != "ž"}), metadata)
    assert ours == safetensors.torch.save({n: t for n, t in tensors.items() if n != "ž"}, metadata)
    # the library writes other letters unescaped, so the bytes differ and what is read does not
    assert set(safetensors.torch.load(written(Block().pack(tensors)))) == set(tensors)


def test_every_dtype_and_layout_is_read_back_by_the_library():
    base = torch.randn(6, 4)
    tensors = {
        "transposed": base.t(),
        "strided": base[::2, 1],
        "expanded": base[:1].expand(3, 4),
        "gradient": base.clone().requires_grad_(),
        "byte": torch.arange(7, dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "half": base.half(),
        "bf16": base.bfloat16(),
        "double": base.double(),
        "int": torch.arange(3, dtype=torch.int32),
        "long": torch.arange(3),
    }
    back = safetensors.torch.load(written(Block().pack(tensors)))
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor), name


def test_equal_tensors_give_equal_bytes_in_whatever_order():
    a, b = torch.randn(3), torch.arange(4)
    assert written(Block().pack({"a": a, "b": b})) == written(Block().pack({"b": b, "a": a}))


def test_what_is_packed_is_a_copy_in_memory_that_is_used_again():
    block, tensor = Block(), torch.arange(8.0)
    first = block.pack({"a": tensor, "b": tensor})
    tensor.zero_()
    assert safetensors.torch.load(written(first))["b"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    where = first.data.obj.ctypes.data
    smaller = block.pack({"a": tensor})
    again = block.pack({"a": tensor, "b": tensor})
    assert smaller.data.obj.ctypes.data == again.data.obj.ctypes.data == where
    assert (len(smaller.data), len(again.data)) == (32, 64)


def test_memory_grows_with_what_is_packed():
    block = Block()
    block.pack({"a": torch.ones(2)})
    larger = {"a": torch.arange(100.0), "b": torch.ones(3)}
    assert torch.equal(safetensors.torch.load(written(block.pack(larger)))["a"], larger["a"])


def test_a_dtype_that_no_file_holds():
    with pytest.raises(PluginError, match=r"'carry\.0' is torch\.complex64.*float32"):
        Block().pack({"carry.0": torch.zeros(2, dtype=torch.complex64)})


def test_from_a_device():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    tensors = {"a": torch.arange(6.0, device="cuda").view(2, 3).t(), "b": torch.arange(3)}
    back = safetensors.torch.load(written(Block().pack(tensors)))
    assert back["a"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert back["b"].tolist() == [0, 1, 2]
