"""Tensors side by side in memory, as a safetensors file has them: what lies there is written as it is.

The library makes the whole file once more and holds the interpreter meanwhile: at 120 MB, 70 ms in which a thread that
trains could not go on, against 5 for writing and hashing what lies here. Reading is `container`'s.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rnn_tui.errors import PluginError
from rnn_tui.model.container import DTYPES

_NAMES = {getattr(torch, name): code for code, (name, _) in DTYPES.items()}


@dataclass(frozen=True)
class Packed:
    """Copies of tensors in the memory of a `Block`, good until it packs again.

    Attributes:
        table: name → dtype, shape and place, as the file's header states them.
        data: the tensors' bytes.
    """

    table: dict[str, Any]
    data: memoryview

    def chunks(self, metadata: Mapping[str, str] | None = None) -> tuple[bytes, memoryview]:
        """Return the two parts of the file: its header, and the tensors."""
        header = ({"__metadata__": dict(metadata)} if metadata else {}) | self.table
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # so that the tensors are aligned in the file too
        return len(text).to_bytes(8, "little") + text, self.data


class Block:
    """Memory that is used again from one packing to the next: its pages are new to the process only once.

    Of tensors on a CUDA device the copies are page-locked, which the device fills without a detour.
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0, dtype=torch.uint8)

    def pack(self, tensors: Mapping[str, Tensor]) -> Packed:
        """Copy tensors of any device and layout; those that lay here before are overwritten.

        Raises:
            PluginError: for a dtype that a file cannot hold.
        """
        table: dict[str, Any] = {}
        end = 0
        # larger elements first, so that each tensor is aligned; by name, so that equal tensors give equal bytes
        for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
            if tensor.dtype not in _NAMES:
                raise PluginError(
                    f"tensor {name!r} is {tensor.dtype}, which cannot be saved; the architecture has to keep it as one "
                    f"of {', '.join(known for known, _ in DTYPES.values())}"
                )
            begin, end = end, end + tensor.nbytes
            shape = list(tensor.shape)
            table[name] = {"dtype": _NAMES[tensor.dtype], "shape": shape, "data_offsets": [begin, end]}
        on_cuda = any(tensor.is_cuda for tensor in tensors.values())
        if self._memory.nbytes < end:
            self._memory = torch.empty(end, dtype=torch.uint8, pin_memory=on_cuda)
        data = self._memory[:end].numpy()
        for name, entry in table.items():
            begin, stop = entry["data_offsets"]
            source = tensors[name].detach().contiguous().view(-1).view(torch.uint8)
            if source.device.type == "cpu":
                # by one thread: torch's own copy was 100 ms instead of 10 with three threads where a core was busy
                data[begin:stop] = source.numpy()
            else:
                self._memory[begin:stop].copy_(source, non_blocking=source.is_cuda)
        if on_cuda:
            torch.cuda.synchronize()
        return Packed(table, data.data)
