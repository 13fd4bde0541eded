"""Programs in C, compiled and called."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnn_tui.model.recurrence.native.sequence import PREAMBLE, Program
from rnn_tui.model.recurrence.native.toolchain import compile_library, runtime_source


@dataclass(frozen=True)
class Function:
    """A program that was compiled, in its library."""

    program: Program
    library: ctypes.CDLL

    def packed(self) -> list[Tensor]:
        """Memory for the products' matrices as the function lays them out."""
        measure = self.library.packed_floats
        measure.restype = ctypes.c_long
        sizes = [measure(ctypes.c_long(K), ctypes.c_long(N)) for K, N in self.program.widths]
        return [torch.empty(size, dtype=torch.float32) for size in sizes]

    def __call__(
        self,
        rows: int,
        steps: int,
        columns: Sequence[Tensor],
        begin: Sequence[Tensor],
        fresh: Sequence[Tensor],
        reset: Tensor | None,
        constants: Sequence[Tensor],
        weights: Sequence[Tensor | None],
        packed: Sequence[Tensor],
        extra: Sequence[Tensor | None] = (),
        threads: int = 0,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run all positions.

        Args:
            columns: (B * T, ...) each.
            begin: what is carried into the first position, (B, ...) each.
            fresh: forward: what a reset puts in its place; backward: zeros, to which the gradient at resets is added.
            reset: bool (B, T), or None.
            constants: those that the step takes; what it holds itself is known.
            weights: (K, N) each, of any strides; None where `packed` holds it already.
            packed: memory of `packed()`.
            extra: what a kind of program takes besides.
            threads: 0: as many as torch uses.

        Returns:
            The columns written, and what is carried out of the last position.
        """
        program = self.program
        written = [kind.empty(rows * steps) for kind in program.written]
        end = [kind.empty(rows) for kind in program.carried]
        dims = (ctypes.c_long * 3)(rows, steps, threads or torch.get_num_threads())
        strides = [
            stride for weight in weights for stride in (weight.stride() if weight is not None else (0, 0))
        ]
        distances = (ctypes.c_long * max(1, len(strides)))(*strides)
        measure, run = (getattr(self.library, name) for name in (f"{program.name}_bytes", program.name))
        measure.restype, run.restype = ctypes.c_long, None
        workspace = torch.empty(measure(dims), dtype=torch.uint8)
        tensors = [
            *extra,
            *(value.contiguous() for value in columns),
            *written,
            *(value.contiguous() for value in begin),
            *end,
            *(value.contiguous() for value in fresh or begin),
            *(value.contiguous() for value in (*constants, *program.held.values())),
            *weights,
            *packed,
        ]
        flags = None if reset is None else reset.contiguous()
        pointers = [
            _address(workspace),
            _address(flags),
            ctypes.addressof(distances),
            *map(_address, tensors),
        ]
        run(dims, (ctypes.c_void_p * len(pointers))(*pointers))
        return written, end


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def compile_programs(programs: Sequence[Program]) -> list[Function]:
    """Compile programs of different names by one call of the compiler.

    Raises:
        NotTraceable: one has no form in C.
        NoCompiler: this machine cannot compile it.
    """
    library = compile_library(
        "\n".join([runtime_source(), PREAMBLE, *(program.source() for program in programs)])
    )
    return [Function(program, library) for program in programs]
