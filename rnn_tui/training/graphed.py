"""A whole update as one CUDA graph: recorded once for each shape of batch, then repeated by a single call.

An update of a small model is hundreds of kernels of a few microseconds each, and a host that launches them one by one
is slower than the device. A graph repeats the very same kernels on the very same memory, so that whatever changes from
update to update lies in tensors that stay: the batch, the carried state, the learning rate and whether the state starts
fresh. What the host would decide is decided on the device: how much to clip, and whether a loss or gradient that is
not finite leaves the update out. Loss and norm are put into a list there, and read when the loop asks.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rnn_tui.model.precision import loss_scale
from rnn_tui.model.state import map_state, where_reset
from rnn_tui.plugin.core import State
from rnn_tui.tasks.task import Batch
from rnn_tui.training.optim import gradients_of, put_on_device, step_on_device
from rnn_tui.training.update import Outcome, PlainUpdate

GRAPHS = 8
"""Shapes of batch that get a graph of their own; the others run kernel by kernel. Each holds its launch parameters and
its batch; the memory in between is shared."""

WARM_UP = 3
"""Runs before a recording, in which libraries are set up that cannot be while recording."""

UNREAD = 64
"""Updates whose loss may wait on the device to be read."""


class Recorder(Protocol):
    """A device that can repeat what it was made to do."""

    def apart(self) -> AbstractContextManager[None]:
        """Run what is within on the recorder's own stream, after what was before and before what comes after."""
        ...

    def strict(self) -> AbstractContextManager[None]:
        """Raise within wherever the host would wait for the device, which no recording can."""
        ...

    def record(self, step: Callable[[], object]) -> Callable[[], None]:
        """Call `step` without running it on the device; return what runs it."""
        ...


class CudaRecorder:
    """CUDA graphs that share a stream and the memory between their kernels; never two at a time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def apart(self) -> Iterator[None]:
        outside = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(outside)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            outside.wait_stream(self._stream)

    @contextmanager
    def strict(self) -> Iterator[None]:
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that this mode is a prototype and does not see everything
            torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)

    def record(self, step: Callable[[], object]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        generator = torch.cuda.default_generators[self._device.index]
        state = generator.clone_state()
        try:
            # thread_local: another thread may copy a checkpoint meanwhile
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                step()
        except Exception:
            generator.graphsafe_set_state(state)  # else it believes for ever that a recording is under way
            raise
        return graph.replay


@dataclass(frozen=True)
class _Graph:
    """A recorded update of one shape of batch."""

    batch: Batch  # what it reads
    predicted: int
    replay: Callable[[], None]


class GraphedUpdate:
    """Takes updates by repeating a recorded one, see `Update`; where that cannot be, kernel by kernel on the device.

    The state that a call returns is the memory that the next call writes to.
    """

    def __init__(self, plain: PlainUpdate, recorder: Recorder, tell: Callable[[str], None]) -> None:
        """Take updates of what `plain` takes updates of.

        Args:
            tell: is told in one sentence, once, if no update can be recorded.
        """
        self._plain = plain
        self._recorder = recorder
        self._tell = tell
        self._scale = loss_scale(plain.config.runtime.precision)
        self._clip = plain.config.optim.clip
        self._refused = ""  # why nothing is recorded
        self._graphs: dict[tuple[torch.Size, torch.Size], _Graph] = {}
        self._carried: dict[int, State] = {}  # by the number of rows
        self._device = device = plain.model.device
        self._fresh = torch.ones(1, dtype=torch.bool, device=device)  # whether the state starts fresh
        self._values = torch.zeros(2, device=device)  # loss, and norm of the scaled gradient
        # both must be below it, or the update is left out
        self._bound = torch.full((), torch.inf, device=device)
        self._seed = torch.full((), self._scale, device=device)  # the gradient of the loss
        self._unread = torch.zeros(UNREAD, 2, device=device)
        self._predicted: list[int] = []  # one entry for each row of `_unread` that is filled
        self._starts_fresh = True
        self._rate = torch.zeros((), device=device)
        self._rate_is = 0.0

    def engine(self) -> tuple[str, str]:
        name, reason = self._plain.engine()
        if self._refused:
            return name, f"{reason}; {self._refused}"
        return "graph", f"each update is one CUDA graph, over {name}: {reason}"

    @property
    def full(self) -> bool:
        """Whether `outcomes` has to be called before the next update."""
        return len(self._predicted) == UNREAD

    def __call__(self, batch: Batch, state: State | None, rate: float) -> State:
        """Take one update, without waiting for it; see `Update`."""
        with self._recorder.apart():
            carried = self._set(len(batch.inputs), state, rate)
            predicted = self._run(batch, carried)
            self._unread[len(self._predicted)].copy_(self._values)
        self._predicted.append(predicted)
        return carried

    def outcomes(self) -> list[Outcome]:
        """Return what came of the updates since the last call; waits for the device."""
        found = []
        rows = self._unread[: len(self._predicted)].tolist()
        for (loss, scaled), predicted in zip(rows, self._predicted, strict=True):
            norm = scaled / self._scale
            found.append(Outcome(loss, predicted, norm, bool(self._clip) and norm > self._clip))
        self._predicted.clear()
        return found

    def rehearse(self, batch: Batch) -> None:
        """Take an update that changes nothing but is recorded, and wait for it: to be timed."""
        with self._recorder.apart(), _generators_kept(self._device):
            carried = self._set(len(batch.inputs), None, self._rate_is)
            kept = map_state(Tensor.clone, carried)
            with self._holding():
                self._run(batch, carried)
            map_state(Tensor.copy_, carried, kept)
        self._values.tolist()

    def _set(self, rows: int, state: State | None, rate: float) -> State:
        """Put in place what the next update reads beside its batch; return where it keeps the state."""
        optimizer = self._plain.optimizer
        if optimizer.param_groups[0]["lr"] is not self._rate:  # the first time, or another state was loaded
            self._rate_is = float(optimizer.param_groups[0]["lr"])
            self._rate = put_on_device(optimizer, self._device)
            self._graphs.clear()
        if rate != self._rate_is:
            self._rate.fill_(rate)
            self._rate_is = rate
        if rows not in self._carried:
            self._carried[rows] = map_state(_own, self._plain.model.initial_state(rows))
        carried = self._carried[rows]
        if (state is None) != self._starts_fresh:
            self._starts_fresh = state is None
            self._fresh.fill_(self._starts_fresh)
        if state is not None and state is not carried:  # from a checkpoint
            map_state(Tensor.copy_, carried, state)
        return carried

    def _run(self, batch: Batch, carried: State) -> int:
        """Take one update; return how many predictions its loss is the mean of."""
        graph = self._graph(batch, carried)
        if graph is None:
            inputs, targets = (
                _pinned(tensor, self._device).to(self._device, non_blocking=True)
                for tensor in (batch.inputs, batch.targets)
            )
            return self._step(Batch(inputs, targets, batch.lengths), carried)
        graph.batch.inputs.copy_(_pinned(batch.inputs, self._device), non_blocking=True)
        graph.batch.targets.copy_(_pinned(batch.targets, self._device), non_blocking=True)
        graph.replay()
        return graph.predicted

    def _graph(self, batch: Batch, carried: State) -> _Graph | None:
        """Return the graph for batches of this shape, recorded now if there is none; None where there can be none."""
        shape = (batch.inputs.shape, batch.targets.shape)
        if shape in self._graphs:
            return self._graphs[shape]
        # rows that end at different places are counted on the host
        if self._refused or batch.lengths is not None or len(self._graphs) == GRAPHS:
            return None
        try:
            self._graphs[shape] = self._recorded(batch, carried)
        except Exception as error:
            # a stranger's step may do anything; kernel by kernel it may still be right
            line = (str(error).splitlines() or ["no message"])[0][:200]
            why = f"{type(error).__name__}: {line}"
            self._refused = f"no CUDA graph, because the update cannot be recorded: {why}"
            self._tell(self._refused)
            return None
        return self._graphs[shape]

    def _recorded(self, batch: Batch, carried: State) -> _Graph:
        own = Batch(batch.inputs.to(self._device, copy=True), batch.targets.to(self._device, copy=True))
        apart = map_state(Tensor.clone, carried)
        with self._holding(), _generators_kept(self._device):
            for _ in range(WARM_UP - 1):
                self._step(own, apart)
            with self._recorder.strict():
                predicted = self._step(own, apart)
        return _Graph(own, predicted, self._recorder.record(lambda: self._step(own, carried)))

    @contextmanager
    def _holding(self) -> Iterator[None]:
        """Have updates within change neither weights nor optimiser: nothing is below 0."""
        before = self._bound.clone()
        self._bound.zero_()
        try:
            yield
        finally:
            self._bound.copy_(before)

    def _step(self, batch: Batch, carried: State) -> int:
        """Everything that the device does in one update; reads and writes the tensors that stay."""
        plain = self._plain
        initial = plain.model.initial_state(len(batch.inputs))
        state = where_reset(self._fresh, initial, carried)
        plain.optimizer.zero_grad(set_to_none=True)
        loss, predicted, after = plain.loss(batch, state)
        torch.autograd.backward(loss, self._seed)
        with torch.no_grad():
            norm = torch.nn.utils.get_total_norm(gradients_of(plain.parameters))
            self._values.copy_(torch.stack([loss, norm]))
            made = (self._values.abs() < self._bound).all()
            divisor = (norm / self._clip).clamp(min=self._scale) if self._clip else self._seed
            step_on_device(plain.optimizer, (~made).float(), divisor)
            # after an update that is left out the state starts fresh
            map_state(
                lambda old, new, fresh: old.copy_(torch.where(made, new, fresh)), carried, after, initial
            )
        return predicted


def _own(leaf: Tensor) -> Tensor:
    return leaf.detach().clone(memory_format=torch.contiguous_format)


def _pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """Return what `device` can copy by itself while the host goes on."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


def _generators_kept(device: torch.device) -> AbstractContextManager[None]:
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def graphed(plain: PlainUpdate, tell: Callable[[str], None]) -> GraphedUpdate | str:
    """Return the update as a CUDA graph, or half a sentence on why there is none."""
    device, optim = plain.model.device, plain.config.optim
    if device.type != "cuda":
        return f"a CUDA graph exists on cuda only, not on {device.type}"
    if optim.optimizer == "rmsprop":
        return "rmsprop has no form that leaves an update out without asking the host"
    return GraphedUpdate(plain, CudaRecorder(device), tell)
