"""The load of a machine: what is asked, and how it is written."""

import os
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from rnn_tui.runs.status import RunView, my_status
from rnn_tui.tui.machine import Gpu, Load, Nvml, Sampler
from rnn_tui.tui.machine_view import gpu_text, load_flat, load_tall
from rnn_tui.tui.widgets.lines import Line


def text(line: Line) -> str:
    return "".join(span[0] for span in line)


HERE = Load(cores=3.87, memory=412_300_000, machine=0.983, count=4, used=7_140_000_000, total=16_700_000_000)
CARD = Gpu(0, load=0.97, memory=12_100_000_000, memory_total=80_000_000_000, watts=310.4, celsius=61)


def test_rows_of_a_machine() -> None:
    assert [text(line) for line in load_flat(HERE, 78)] == [
        "worker 3.9 cores, 412 MB   machine 98 % of 4 cores, 7.1 of 17 GB"
    ]
    assert [text(line) for line in load_flat(HERE, 40)] == ["worker 3.9 cores, 412 MB"]
    with_card = replace(HERE, gpus=(CARD,))
    assert [text(line) for line in load_tall(with_card)] == [
        "worker      3.9 cores, 412 MB", "machine     98 % of 4 cores, 7.1 of 17 GB",
        "GPU 0       97 %, 12.1 of 80 GB, 310 W, 61 °C",
    ]  # fmt: skip
    # where there is no room for both, the machine goes before its GPU
    assert [text(line) for line in load_flat(with_card, 78)] == [
        "worker 3.9 cores, 412 MB   GPU 0 97 %, 12.1 of 80 GB, 310 W, 61 °C"
    ]


def test_what_is_not_known_is_left_out() -> None:
    assert load_flat(None, 78) == load_tall(None) == []
    assert [text(line) for line in load_tall(replace(HERE, cores=None, machine=None))] == [
        "worker      412 MB", "machine     7.1 of 17 GB",
    ]  # fmt: skip
    assert gpu_text(Gpu(1, celsius=40), ascii=True) == "40 C"
    assert gpu_text(Gpu(1)) == ""
    away = load_tall(Load(host="node7\x1b[2J"))
    assert [text(line) for line in away] == ["machine     on node7␛[2J, whose load is not seen here"]


def test_the_load_of_a_process_of_this_machine() -> None:
    sampler, view = (
        Sampler(lambda pid: (CARD,) if pid == os.getpid() else ()),
        RunView("running", my_status("running", attempt=1), True),
    )
    first = sampler.sample(view, on_gpu=False)
    assert first is not None
    assert (first.cores, first.machine, first.gpus) == (None, None, ())  # shares are since the look before
    burnt = sum(i * i for i in range(400_000))
    second = sampler.sample(view, on_gpu=True)
    assert burnt
    assert second is not None
    assert second.cores is not None
    assert 0 < second.cores <= 2 * second.count
    assert second.memory == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert (second.total, second.gpus) == (psutil.virtual_memory().total, (CARD,))


def test_a_run_that_is_elsewhere_or_dead() -> None:
    status = my_status("running", attempt=1)
    status.host, status.boot_id = "node7", "another"
    assert Sampler().sample(RunView("running", status, True), on_gpu=True) == Load(host="node7")
    assert Sampler().sample(RunView("crashed", status, False), on_gpu=True) is None
    assert Sampler().sample(RunView("starting", None, True), on_gpu=True) is None


class FakeNvml:
    """As much of NVIDIA's library as is asked: two GPUs, the second of which does not tell its power."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def __init__(self, pids: tuple[int, ...] = ()) -> None:
        self.pids = pids
        self.started = 0

    def nvmlInit(self) -> None:
        self.started += 1

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=12_100_000_000, total=80_000_000_000)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=97)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        if handle == 1:
            raise self.NVMLError
        return 310_400

    def nvmlDeviceGetTemperature(self, handle: int, which: int) -> int:
        return 61

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        return [SimpleNamespace(pid=pid) for pid in self.pids] if handle == 1 else []


def test_gpus_are_those_of_the_process_where_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeNvml(pids=(77,))
    monkeypatch.setitem(sys.modules, "pynvml", library)  # type: ignore[arg-type]
    nvml, second = Nvml(), replace(CARD, index=1, watts=None)
    assert nvml.read(77) == (second,)
    assert nvml.read(78) == (CARD, second)
    assert library.started == 1


def test_without_the_library_or_its_driver_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # an import of it fails
    assert Nvml().read(1) == ()

    class NoDriver(FakeNvml):
        def nvmlInit(self) -> None:
            super().nvmlInit()
            raise self.NVMLError

    library = NoDriver()
    monkeypatch.setitem(sys.modules, "pynvml", library)  # type: ignore[arg-type]
    nvml = Nvml()
    assert nvml.read(1) == nvml.read(1) == ()
    assert library.started == 1
