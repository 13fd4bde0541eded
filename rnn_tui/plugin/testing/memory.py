"""A bound on the memory that a law may take: an option at its end must not take the machine down."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

_MORE = 2 << 30
"""Bytes beyond what the process has."""


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Let allocations fail that would make this process 2 GiB larger, where the system can do that."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    now = getattr(psutil.Process().memory_info(), "data", None)
    if now is None:
        yield
        return
    limits = [now + _MORE, *(each for each in before if each != resource.RLIM_INFINITY)]
    try:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (min(limits), before[1]))
        yield
    finally:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, before)
