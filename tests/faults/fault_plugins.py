"""Bad plugins, as an installer would leave them, and what is to be said of each."""

import os
import random
import re
import signal
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch

from rnn_tui.plugin.describe import describe_plugins

MARK = "RNN_TUI_FAULT_MARK"
"""Names, in the environment, the folder in which each healthy plugin notes by whom it was imported."""

GROUPS = {"tokenizer": "rnn_tui.tokenizers", "architecture": "rnn_tui.architectures"}

TOKENIZER = """
import os, sys
from rnn_tui_text.byte import ByteTokenizer
class Good(ByteTokenizer):
    'A good one.'
"""
CELL = """
import torch
from rnn_tui_scratch.rnn import RNN
class Good(RNN):
    'A good one.'
"""
HEALTHY = f"""
import os, sys
from rnn_tui_text.byte import ByteTokenizer
with open(os.path.join(os.environ[{MARK!r}], __name__), "a") as file:
    file.write(" ".join(sys.orig_argv) + "\\n")
class Good(ByteTokenizer):
    'A good one.'
"""


@dataclass(frozen=True)
class Bad:
    """A module, and what the list of plugins is to say of it: a pattern, or the summary where nothing is wrong."""

    source: str
    says: str
    kind: str = "tokenizer"
    works: bool = False


FOURTEEN = {
    # row 83
    "import-error": Bad(
        "from os import nothing_like_it", "ImportError: cannot import name 'nothing_like_it'"
    ),
    "syntax-error": Bad("def def", "SyntaxError: invalid syntax"),
    "no-dependency": Bad(
        "import a_package_that_is_not_there", "ModuleNotFoundError: No module named 'a_pack"
    ),
    "old-interface": Bad(
        TOKENIZER + "    api_version = 0", "written for plugin interface 0, this rnn-tui has 1"
    ),
    # row 84
    "exits": Bad("import sys; sys.exit('goodbye')", "SystemExit: goodbye"),
    "interrupts": Bad("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "leaves": Bad("import os; os._exit(0)", r"its import ended the process \(exit code 0\)"),
    "crashes": Bad("import ctypes; ctypes.string_at(0)", r"its import ended the process \(SIGSEGV\)"),
    "hangs": Bad("import time; time.sleep(1000)", r"its import takes longer than [\d.]+ s"),
    # row 85
    "prints": Bad(
        TOKENIZER + "print('\\x1b]0;title\\x07\\x1b[2J')\nos.write(2, b'\\x1b]52;c;aGk=\\x07')\n",
        "A good one.",
        works=True,
    ),
    "dtype": Bad(
        CELL + "torch.set_default_dtype(torch.float64)", "changes torch's default dtype", "architecture", True
    ),
    "threads": Bad(CELL + "torch.set_num_threads(3)", "changes torch's threads", "architecture", True),
    "seeds": Bad(
        CELL + "import random\ntorch.manual_seed(0); random.seed(0)",
        "changes Python's random numbers, torch's random numbers",
        "architecture",
        True,
    ),
    "signals": Bad(
        TOKENIZER + "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN); signal.alarm(1)",
        r"changes signal handlers \(SIGTERM\), an alarm",
        works=True,
    ),
}
"""Those of reliability.md, rows 83 to 85."""

MORE = {
    "hard-hang": Bad(
        "import os, signal\nos.setsid() if os.getpid() != os.getsid(0) else 0\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: signal.pause()",
        "takes longer than",
    ),
    "stops": Bad("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", "takes longer than"),
    "forks": Bad(TOKENIZER + "os.fork()", "A good one.|leaves 1 process running", works=True),
    "daemon": Bad(
        TOKENIZER
        + "import time\nif not os.fork():\n  os.setsid()\n  if not os.fork(): time.sleep(1000)\n  os._exit(0)\n",
        "A good one.|leaves 1 process running",
        works=True,
    ),
    "thread": Bad(
        TOKENIZER + "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()",
        "its import leaves 1 thread running",
        works=True,
    ),
    "closes": Bad(TOKENIZER + "os.closerange(0, 4096)", "its import ended the process"),
    "scribbles": Bad(
        TOKENIZER
        + "for fd in range(3, 64):\n  try: os.write(fd, b'{}\\n[1]\\ngarbage')\n  except OSError: pass",
        "A good one.",
        works=True,
    ),
    "floods-pipe": Bad(
        "import os\nwhile True:\n  for fd in range(64):\n    try: os.write(fd, b'x' * 4096)\n    except OSError: pass",
        "it writes without end",
    ),
    "floods": Bad("while True: print('no end ' * 1000)", "takes longer than .*it said: no end no end"),
    "removes-itself": Bad(TOKENIZER + "os.unlink(__file__)", "A good one.", works=True),
    "environment": Bad(
        TOKENIZER
        + "os.environ.clear(); os.chdir('/'); sys.path.clear(); sys.stdout = None; sys.modules['json'] = None",
        r"the working directory, the environment \(.*\), sys.path, sys.modules \(json\), the interpreter \(stdout\)",
        works=True,
    ),
    "memory": Bad("x = bytearray(64 << 30)", "MemoryError"),
    "recursion": Bad("def f(): f()\nf()", "RecursionError"),
    "unprintable": Bad(
        "class E(Exception):\n  def __str__(self): raise self\nraise E", "E, which cannot be printed"
    ),
    "surrogates": Bad("raise ValueError('\\ud800\\x1b[2J')", r"ValueError: \\ud800"),
    "no-text": Bad(TOKENIZER + "Good.__doc__ = 5", "importing no_text:Good failed"),
    "group": Bad(
        "import os, signal; os.killpg(0, signal.SIGKILL)", r"its import ended the process \(SIGKILL\)"
    ),
}
"""Others that came to mind."""

RAW = {
    "torn": b"[rnn_tui.tokenizers]\nno equals sign\n",
    "binary": b"[rnn_tui.tokenizers]\n\xff\x00\xfe = a:B\n",
    "huge": b"[rnn_tui.tokenizers]\n" + b"x = a:B\n" * 200_000,
    "nameless": b"[rnn_tui.tokenizers]\n\x1b]0;x\x07../.. = torn:B\n",
    "long-name": b"[rnn_tui.tokenizers]\n" + b"n" * 300 + b" = torn:B\n",
    "markup": b"[rnn_tui.tokenizers]\nm = [@click=app.quit]x[/]\n",
}
"""Distributions with this as their entry_points.txt."""


def install(site, name, source=TOKENIZER, kind="tokenizer", *, plugin=None, raw=None):
    """Leave a distribution in the folder `site` as an installer would: one module, one plugin of its name."""
    module = name.replace("-", "_")
    site.mkdir(exist_ok=True)
    (site / f"{module}.py").write_text(textwrap.dedent(source))
    folder = site / f"{module}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    text = f"[{GROUPS[kind]}]\n{plugin or name} = {module}:Good\n".encode() if raw is None else raw
    (folder / "entry_points.txt").write_bytes(text)


def install_all(site, bad=FOURTEEN | MORE, healthy=20, raw=RAW):
    for name, one in bad.items():
        install(site, name, one.source, one.kind)
    for name, text in raw.items():
        install(site, name, raw=text)
    for index in range(healthy):
        install(site, f"healthy-{index}", HEALTHY)


def described(timeout, **more):
    """Describe everything that is installed; return the descriptions by distribution, ours left out."""
    return {
        one.info.distribution: one for one in describe_plugins(timeout=timeout, **more) if not one.info.ours
    }


def complaints(found, bad=FOURTEEN | MORE, healthy=20, raw=RAW):
    """Return what is wrong with what was said: one line for each plugin, none if all is well."""
    faults = []
    for name, one in bad.items():
        told = found[name]
        words = (told.remark or told.summary) if one.works else (told.error or "nothing")
        if (told.error is None) != one.works or not re.search(one.says, words):
            faults.append(f"{name}: {told.remark or told.summary!r}")
        if len(words) > 700 or "\n" in words:
            faults.append(f"{name} is not told in one clause: {words!r}")
    faults += [f"{name}: {found[name]}" for name in raw if not found[name].error]
    quiet = [f"healthy-{index}" for index in range(healthy)]
    faults += [
        f"{name}: {found[name].remark!r}" for name in quiet if found[name].remark or not found[name].form
    ]
    return faults


def left_running(mark, seconds=30.0):
    """Return the processes, other than this one, in whose environment `mark` stands, having given them time to end."""
    deadline = time.monotonic() + seconds
    while found := _marked(mark):
        if time.monotonic() > deadline:
            return found
        time.sleep(0.05)
    return []


def _marked(mark):
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get(MARK) == str(mark) and process.pid != os.getpid()
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def state_of_this_process():
    """What rows 84 and 85 speak of, read without the code under test."""
    return {
        "dtype": torch.get_default_dtype(),
        "device": str(torch.empty(0).device),
        "threads": torch.get_num_threads(),
        "gradients": torch.ones(1, requires_grad=True).mul(1).requires_grad,
        "precision": torch.get_float32_matmul_precision(),
        "torch": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),
        "numpy errors": np.geterr(),
        "python": random.getstate(),
        "handlers": [signal.getsignal(number) for number in signal.valid_signals()],
        "alarm": signal.getitimer(signal.ITIMER_REAL)[0],
        "folder": os.getcwd(),
        # torch notes a cache of its own there when a part of it is first used
        "environment": {k: v for k, v in os.environ.items() if not k.startswith("TORCHINDUCTOR_")},
        "path": list(sys.path),
        "streams": (sys.stdout, sys.stderr, sys.excepthook),
        "json": sys.modules["json"],
        "recursion": sys.getrecursionlimit(),
        "mask": _mask(),
    }


def _mask():
    return next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Umask")
    )
