"""How busy the machine is that a run is computed on: the worker's process, processor and memory, and its GPU.

Asked by the thread that follows the run, and only where that process is on this machine.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

    from rnn_tui.runs.status import RunView

SAMPLE_SECONDS = 2.0


@dataclass(frozen=True)
class Gpu:
    """One GPU. Shares are 0 to 1, memory is in bytes, power in watts, temperature in °C; None: not told."""

    index: int
    load: float | None = None
    memory: int | None = None
    memory_total: int | None = None
    watts: float | None = None
    celsius: float | None = None


@dataclass(frozen=True)
class Load:
    """What is used.

    Attributes:
        host: Where the run is, if that is another machine, whose load is not seen from here; as it came, not yet safe.
        cores: Processor time of the worker in cores, so 3.9 of 4.
        memory: What the worker has resident, in bytes.
        machine: The share of all cores that is busy, with anything.
        used, total: Memory of the machine, in bytes.
    """

    host: str = ""
    cores: float | None = None
    memory: int | None = None
    machine: float | None = None
    count: int = 1
    used: int | None = None
    total: int | None = None
    gpus: tuple[Gpu, ...] = ()


class Sampler:
    """Looks at one worker after another; shares of processor time are those since its last look."""

    def __init__(self, gpus: Callable[[int], tuple[Gpu, ...]] | None = None) -> None:
        self._gpus = gpus or Nvml().read
        self._process: psutil.Process | None = None

    def sample(self, view: "RunView", *, on_gpu: bool) -> Load | None:
        """Return the load at this moment; None where no worker lives. Its first look at a worker has no shares."""
        import psutil

        from rnn_tui.runs.process import Identity, is_alive

        status = view.status
        if not view.alive or status is None:
            return None
        if not is_alive(Identity(status.pid, status.start_ticks, status.boot_id, status.host)):
            return Load(host=status.host or "another machine")
        first = self._process is None or self._process.pid != status.pid
        try:
            if first:
                self._process = psutil.Process(status.pid)
            assert self._process is not None
            cores = self._process.cpu_percent() / 100
            resident = self._process.memory_info().rss
        except psutil.Error:  # it ended this moment, or belongs to somebody else
            self._process = None
            return None
        share, memory = psutil.cpu_percent() / 100, psutil.virtual_memory()
        return Load(
            cores=None if first else cores,
            memory=resident,
            machine=None if first else share,
            count=psutil.cpu_count() or 1,
            used=memory.total - memory.available,
            total=memory.total,
            gpus=self._gpus(status.pid) if on_gpu else (),
        )


class Nvml:
    """NVIDIA's library, by way of the optional package nvidia-ml-py. Where either is missing there are no GPUs."""

    def __init__(self) -> None:
        self._library: Any = None
        self._missing = False

    def read(self, pid: int) -> tuple[Gpu, ...]:
        """Return the GPUs that a process uses; all of them where that is not told, as from within a container."""
        if not self._open():
            return ()
        library, found, used = self._library, [], []
        try:
            for index in range(library.nvmlDeviceGetCount()):
                handle = library.nvmlDeviceGetHandleByIndex(index)
                memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
                rates = self._ask("nvmlDeviceGetUtilizationRates", handle)
                milliwatts = self._ask("nvmlDeviceGetPowerUsage", handle)
                gpu = Gpu(
                    index,
                    load=None if rates is None else rates.gpu / 100,
                    memory=None if memory is None else memory.used,
                    memory_total=None if memory is None else memory.total,
                    watts=None if milliwatts is None else milliwatts / 1000,
                    celsius=self._ask("nvmlDeviceGetTemperature", handle, library.NVML_TEMPERATURE_GPU),
                )
                found.append(gpu)
                there = self._ask("nvmlDeviceGetComputeRunningProcesses", handle) or ()
                if any(process.pid == pid for process in there):
                    used.append(gpu)
        except library.NVMLError:  # the driver is gone, as after an upgrade of it
            self._missing = True
            return ()
        return tuple(used or found)

    def _open(self) -> bool:
        """Load and start the library, which takes up to a second where no other program holds the driver."""
        if self._library is None and not self._missing:
            try:
                library: Any = importlib.import_module("pynvml")
            except ImportError:
                self._missing = True
                return False
            try:
                library.nvmlInit()
                self._library = library
            except library.NVMLError:
                self._missing = True
        return not self._missing

    def _ask(self, function: str, *arguments: Any) -> Any:
        """Return an answer, or None where this GPU does not give it."""
        try:
            return getattr(self._library, function)(*arguments)
        except self._library.NVMLError:
            return None
