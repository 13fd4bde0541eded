"""One switch for the arithmetic of every path."""

import pytest
import torch
from rnn_tui_scratch.lstm import LSTM

from rnn_tui.errors import UsageError
from rnn_tui.model.precision import (
    autocast,
    inference_precision,
    loss_scale,
    precision_note,
    set_precision,
)
from rnn_tui.model.recurrence import unroll, unrolled

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def switches():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield lambda: (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_matmul_and_cudnn_are_switched_together(precision, switches):
    set_precision(precision, CUDA)
    assert switches() == (precision == "tf32", precision == "tf32")


def test_a_faster_way_is_compared_without_tf32(monkeypatch, switches):
    seen = []
    monkeypatch.setattr(unrolled, "difference", lambda *_: seen.append(switches()))
    set_precision("tf32", CUDA)
    assert unroll(LSTM(3, 4), 3, "eager").engine == "eager"
    assert seen == [(False, False)] * 2  # in training and in evaluation
    assert switches() == (True, True)


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_what_exists_on_cuda_only_is_refused_where_auto_finds_another_device(precision):
    with pytest.raises(UsageError, match=f"precision {precision} exists on cuda only, not on cpu"):
        set_precision(precision, CPU)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_products_are_computed_in_it(precision, dtype):
    with autocast(precision, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_the_scale_of_fp16_keeps_a_gradient_that_would_vanish():
    """2^-26 is half of the smallest number of fp16 that is not zero."""
    assert loss_scale("bf16") == loss_scale("fp32") == 1
    vanishing = torch.tensor(2.0**-26)
    assert vanishing.half() == 0
    assert (vanishing * loss_scale("fp16")).half().float() / loss_scale("fp16") == vanishing


@pytest.mark.parametrize(
    ("config", "device", "precision"),
    [
        ({"runtime": {"precision": "tf32"}}, CUDA, "tf32"),
        ({"runtime": {"precision": "tf32"}}, CPU, "fp32"),
        ({"runtime": {"precision": "fp16"}}, CUDA, "fp32"),
        ({"runtime": "?"}, CUDA, "fp32"),
        ({}, CUDA, "fp32"),
    ],
)
def test_a_model_reads_as_its_training_was_validated(config, device, precision):
    assert inference_precision(config, device) == precision


@pytest.mark.parametrize(
    ("precision", "device", "there", "cudnn", "note"),
    [
        ("bf16", CUDA, True, 91300, ""),
        ("bf16", CUDA, True, 91002, "cuDNN 9.10 has no recurrent kernels in bf16"),
        ("bf16", CUDA, True, None, "cuDNN 0.0 has no"),
        ("bf16", CUDA, False, 92000, "this GPU has no arithmetic in bf16"),
        ("bf16", CPU, False, None, ""),
        ("fp16", CUDA, True, 90000, ""),
    ],
)
def test_what_is_to_be_known_of_bf16(monkeypatch, precision, device, there, cudnn, note):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: there)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: cudnn)
    found = precision_note(precision, device)
    assert found.startswith(note)
    assert bool(found) == bool(note)
