"""What a body changes of the process is noticed, put back and named; what nobody changed is not."""

import builtins
import gc
import locale
import os
import random
import signal
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

from rnn_tui.plugin.guard import captured, unchanged

HOOK = sys.excepthook


def _set(place, name, value):
    return lambda: setattr(place, name, value)


CHANGES = {
    "the working directory": (lambda: os.chdir("/"), os.getcwd),
    "the umask": (lambda: os.umask(0), lambda: (os.umask(0o22), os.umask(0o22))[1]),
    "the environment (HOME, SPOILT)": (
        lambda: os.environ.update(HOME="/nowhere", SPOILT="1"),
        lambda: (os.environ["HOME"], os.environ.get("SPOILT")),
    ),
    "the environment (PATH)": (lambda: os.environ.pop("PATH"), lambda: os.environ["PATH"]),
    "the locale": (
        lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
        lambda: locale.setlocale(locale.LC_ALL),
    ),
    "sys.path": (lambda: sys.path.insert(0, "/nowhere"), lambda: list(sys.path)),
    "sys.path, replaced": (_set(sys, "path", []), lambda: list(sys.path)),
    "sys.modules (json)": (lambda: sys.modules.update(json=None), lambda: sys.modules["json"]),
    "sys.modules (random)": (lambda: sys.modules.pop("random"), lambda: sys.modules["random"]),
    "builtins (print)": (_set(builtins, "print", len), lambda: print),
    "the interpreter (excepthook)": (_set(sys, "excepthook", len), lambda: sys.excepthook),
    "the interpreter (stdout)": (_set(sys, "stdout", None), lambda: sys.stdout),
    "the interpreter (threading.excepthook)": (
        _set(threading, "excepthook", len),
        lambda: threading.excepthook,
    ),
    "the recursion limit": (lambda: sys.setrecursionlimit(99_999), sys.getrecursionlimit),
    "the garbage collector": (gc.disable, gc.isenabled),
    "the filters of warnings": (lambda: warnings.simplefilter("ignore"), lambda: list(warnings.filters)),
    "signal handlers (SIGTERM, SIGUSR1)": (
        lambda: [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGUSR1)],
        lambda: [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1)],
    ),
    "an alarm": (lambda: signal.alarm(60), lambda: signal.getitimer(signal.ITIMER_REAL)),
    "Python's random numbers": (lambda: random.seed(5), random.getstate),
    "NumPy's random numbers": (lambda: np.random.seed(5), lambda: np.random.get_state()[1].tolist()),
    "NumPy's handling of errors (divide)": (lambda: np.seterr(divide="raise"), np.geterr),
    "torch's random numbers": (lambda: torch.manual_seed(5), lambda: torch.get_rng_state().tolist()),
    "torch's default dtype": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "torch's default device": (lambda: torch.set_default_device("meta"), torch.get_default_device),
    "torch's threads": (lambda: torch.set_num_threads(torch.get_num_threads() + 1), torch.get_num_threads),
    "whether torch records gradients": (lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "torch's search for anomalies": (
        lambda: torch.autograd.set_detect_anomaly(True),
        torch.is_anomaly_enabled,
    ),
    "whether torch is deterministic": (
        lambda: torch.use_deterministic_algorithms(True),
        torch.are_deterministic_algorithms_enabled,
    ),
    "how cuDNN chooses kernels": (
        _set(torch.backends.cudnn, "benchmark", True),
        lambda: torch.backends.cudnn.benchmark,
    ),
    "how torch rounds small numbers": (
        lambda: torch.set_flush_denormal(True),
        lambda: (torch.tensor([1e-310], dtype=torch.float64) * 1).tolist(),
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_named_and_put_back(what):
    change, read = CHANGES[what]
    before = read()
    with unchanged() as changes:
        change()
    assert read() == before
    assert changes.things == [what.partition(",")[0] if what.endswith("replaced") else what]


def test_products_of_less_precision_are_put_back():
    """One switch of torch's stands behind two of ours."""
    with unchanged() as changes:
        torch.set_float32_matmul_precision("medium")
    assert torch.get_float32_matmul_precision() == "highest"
    assert "the precision of torch's products" in changes.things


def test_nothing_is_said_of_what_an_import_is_for(tmp_path, monkeypatch):
    (tmp_path / "harmless_new_module.py").write_text("import json, random\nx = random.Random(1).random()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with unchanged() as changes:
        import harmless_new_module  # noqa: F401
    assert changes.told() is None
    assert sys.modules.pop("harmless_new_module").x > 0


def test_what_is_left_running_is_told():
    over = threading.Event()
    with unchanged() as changes:
        threading.Thread(target=over.wait).start()
        child = subprocess.Popen(["sleep", "100"])
    child.kill()
    child.wait()
    over.set()
    assert changes.running == ["1 thread", "1 process"]
    assert changes.told() == "its import leaves 1 thread and 1 process running"


def test_what_cannot_be_put_back_is_said(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    with unchanged() as changes:
        os.chdir("/")
        gone.rmdir()
    assert changes.things == ["the working directory (and that stays)"]


def test_it_is_put_back_after_a_failure():
    before = torch.get_default_dtype()

    def change_and_fail():
        torch.set_default_dtype(torch.float64)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), unchanged():
        change_and_fail()
    assert torch.get_default_dtype() == before


def test_of_a_body_that_forks_one_goes_on():
    """Else two workers would train one run."""
    code = """
import os
from rnn_tui.plugin.guard import unchanged
with unchanged():
    os.fork()
os.write(1, b"here\\n")
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"here\n"


def test_output_is_kept_away(capfd):
    print("before")
    with captured() as said:
        print("\x1b[31mby Python", flush=True)
        os.write(1, b"below it\n")
        os.system("echo by a child, to standard error >&2")
    with captured() as nothing:
        pass
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "")
    assert (said, nothing) == (["by a child, to standard error"], [])


def test_output_without_end_is_cut():
    with captured() as said:
        for _ in range(1000):
            print("x" * 1000)
    assert said == ["x" * 200]
