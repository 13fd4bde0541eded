"""Before the first step: what torch, the C library and the random generators are to be like."""

import ctypes
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# MKL's vector maths picks its kernels at the first call; two threads racing there leave one with a less accurate
# kernel for the life of the process, so that processes differ in the last bits (pytorch#188792: 21 of 550 fresh
# processes, 0 of 550 after this warm-up, which takes 3 to 9 ms).
_VECTOR_MATH = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "reciprocal",
    "round",
    "rsqrt",
    "sigmoid",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
]


def warm_up_math() -> None:
    """Call every vectorised unary function once on a single thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for dtype in (torch.float32, torch.float64):
        one = torch.full((1,), 0.5, dtype=dtype)
        for name in _VECTOR_MATH:
            getattr(torch, name)(one)
        torch.pow(one, one)
        torch.atan2(one, one)
        torch.logcumsumexp(one, 0)
    torch.set_num_threads(threads)


def keep_memory() -> None:
    """Have the C library keep freed memory for the next step, where it is glibc.

    A step frees what it kept for its backward, 20 to 60 MB at hidden 512; given back to the system and taken again
    it costs thousands of page faults, measured as a tenth of a step of the eager rung. The process stays as large as
    its largest step.
    """
    trim_threshold, mmap_threshold = -1, -3
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(trim_threshold, 1 << 30)
        libc.mallopt(mmap_threshold, 32 << 20)
    except (AttributeError, OSError, TypeError):
        pass  # another C library


def device_name(device: torch.device) -> str:
    """Return what a person calls the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def refuse_inexact_kernels(device: torch.device) -> None:
    """Have torch take the CUDA kernels that give the same bits each time, and raise RuntimeError where there is none.

    To be called before the device is used: cuBLAS reads the variable once. Runs on the CPU are equal without.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


def seed_everything(seed: int) -> None:
    """Seed torch, NumPy's and Python's global generators; plugins may use any of them."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def same_randomness() -> Iterator[None]:
    """Leave the global generators of torch (on the CPU), NumPy and Python as they are."""
    torchs, numpys, pythons = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(torchs)
        np.random.set_state(numpys)
        random.setstate(pythons)
