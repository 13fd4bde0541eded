"""The app in a pseudo-terminal: first paint, keys while everything runs, bytes, and what watching costs training.

PEERS names programs to stand beside, as words of NAME=COMMAND; each has its own environment.
"""

import contextlib
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pyte

from benchmarks.common import Goal, Options

PAINT = Goal(600.0, 400.0, "ms")
KEY, KEY_99 = Goal(20.0, 10.0, "ms"), Goal(100.0, 50.0, "ms")
IDLE, MONITOR, STREAM = Goal(0.0, None, "kB/s"), Goal(3.0, 1.0, "kB/s"), Goal(80.0, 40.0, "kB/s")
WATCH = Goal(1.0, None, "%")

KEYS = 1000
VISIBLE = 20
"""Characters on the screen that count as painted."""
RATE = 200
APP = """
import pathlib, sys
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.engine_client import EngineClient
from rnn_tui.tui.panes import prompt
if len(sys.argv) > 2:
    first = prompt.PromptPane.__init__
    command = [sys.executable, "-m", "benchmarks.paced_engine", sys.argv[2]]
    prompt.PromptPane.__init__ = lambda self, client=None: first(self, EngineClient(command))
RnnTuiApp(pathlib.Path(sys.argv[1])).run()
"""


class Terminal:
    """A program behind a pseudo-terminal; every byte it sends is counted."""

    def __init__(self, words: list[str], home: Path, size: tuple[int, int] = (24, 80)) -> None:
        environment = {
            k: v for k, v in os.environ.items() if k not in ("TMUX", "STY", "NO_COLOR", "SSH_CONNECTION")
        }
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        environment |= {f"RNN_TUI_{n}_DIR": str(home / n.lower()) for n in ("STATE", "CONFIG", "DATA")}
        self.begun = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(words[0], words, environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.screen = pyte.Screen(size[1], size[0])
        self.screen.write_process_input = lambda _: None
        self._stream = pyte.ByteStream(self.screen)
        self.bytes = 0

    def read(self, seconds: float) -> bytes:
        """Return what comes first within `seconds`; nothing where nothing does."""
        if not select.select([self.fd], [], [], max(seconds, 0))[0]:
            return b""
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            return b""
        self.bytes += len(data)
        return data

    def drain(self, seconds: float) -> bytes:
        """Return all that comes within `seconds`."""
        end, got = time.perf_counter() + seconds, b""
        while (left := end - time.perf_counter()) > 0:
            got += self.read(left)
        self._stream.feed(got)
        return got

    def visible(self) -> int:
        """Return how many characters the screen shows."""
        return sum(len(line.replace(" ", "")) for line in self.screen.display)

    def painted(self, seconds: float = 20.0) -> float:
        """Return the seconds from the start of the program until something can be read on the screen."""
        while time.perf_counter() - self.begun < seconds:
            self._stream.feed(self.read(0.05))
            if self.visible() >= VISIBLE:
                return time.perf_counter() - self.begun
        raise TimeoutError("nothing was painted")

    def wait_to_see(self, text: str, seconds: float = 60.0) -> None:
        """Read until the screen shows `text`."""
        end = time.perf_counter() + seconds
        while not any(text in line for line in self.screen.display):
            self.drain(0.1)
            if time.perf_counter() > end:
                raise TimeoutError(f"{text!r} never came:\n" + "\n".join(self.screen.display))

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.fd)
        os.waitpid(self.pid, 0)


@contextlib.contextmanager
def terminal(words: list[str], home: Path, size: tuple[int, int] = (24, 80)) -> Iterator[Terminal]:
    """Run a program behind a terminal within."""
    one = Terminal(words, home, size)
    try:
        yield one
    finally:
        one.close()


def app_words(runs: Path, rate: float | None = None) -> list[str]:
    return [sys.executable, "-c", APP, str(runs), *([str(rate)] if rate else [])]


@contextlib.contextmanager
def training(runs: Path, threads: int) -> Iterator[Path]:
    """Train on all cores within; yield the run's folder."""
    words = ["train", "stdlib", "--name", "busy", "--runs-dir", str(runs), "--minutes", "30", "--detach"]
    words += ["--hidden-size", "512", "--threads", str(threads), "--set", "watch.sample_length=100"]
    rnn_tui = [sys.executable, "-m", "rnn_tui"]
    subprocess.run([*rnn_tui, *words], check=True, capture_output=True)
    folder = runs / "busy"
    try:
        end = time.monotonic() + 120
        while steps(folder) < 20 and time.monotonic() < end:
            time.sleep(0.2)
        yield folder
    finally:
        subprocess.run([*rnn_tui, "stop", "busy", "--runs-dir", str(runs)], check=False, capture_output=True)


def steps(folder: Path) -> int:
    """Return the step that a run's status tells."""
    import json

    with contextlib.suppress(OSError, ValueError):
        return int(json.loads((folder / "status.json").read_text())["step"])
    return 0


def first_paint(options: Options) -> None:
    """Seconds from the start of a program to something readable, medians of turns that are interleaved."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        peers = dict(word.split("=", 1) for word in os.environ.get("PEERS", "").split())
        programs = {"rnn-tui": app_words(home / "runs")} | {name: [path] for name, path in peers.items()}
        times: dict[str, list[float]] = {name: [] for name in programs}
        for turn in range(options.repeats + 1):
            for name, words in programs.items():
                try:
                    with terminal(words, home) as one:
                        seconds = one.painted()
                except TimeoutError:
                    continue
                if turn:  # the first one fills the cache of the disk
                    times[name].append(1e3 * seconds)
        for name, found in times.items():
            if not found:
                print(f"first paint of {name}: never came")
            elif name == "rnn-tui":
                print(
                    PAINT.judge("first paint of rnn-tui", statistics.median(found)),
                    f"(least {min(found):.0f})",
                )
            else:
                print(f"first paint of {name}: {statistics.median(found):.0f} ms (least {min(found):.0f})")


def idle_bytes(options: Options) -> None:
    """What an app sends while nobody does anything: on each pane, and in the prompt line."""
    with (
        tempfile.TemporaryDirectory() as folder,
        terminal(app_words(Path(folder) / "runs"), Path(folder)) as one,
    ):
        one.painted()
        one.drain(4)
        for number in range(1, 7):
            one.type(f"\x1b{number}")
            one.drain(3)
            before = one.bytes
            one.drain(4)
            print(IDLE.judge(f"idle on pane {number}", (one.bytes - before) / 4e3))


def busy(options: Options) -> None:
    """Keys, bytes and the cost of watching while all cores train."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        home, runs = Path(folder), Path(folder) / "runs"
        with training(runs, cores) as run:
            for size in ((24, 80), (45, 140)):
                with terminal(app_words(runs), home, size) as one:
                    one.painted()
                    one.type("\x1b2")
                    one.wait_to_see("busy")
                    one.drain(5)
                    before = one.bytes
                    one.drain(20)
                    rate = (one.bytes - before) / 20e3
                    print(MONITOR.judge(f"monitor at {size[1]}x{size[0]}", rate))
                    print(*_latency("keys in the monitor (smoothing)", one, ["]", "["], None))
            with terminal(app_words(runs, RATE), home, (40, 120)) as one:
                one.painted()
                one.type("\x1b3")
                one.drain(3)
                one.wait_to_see("lstm")  # the newest run's model, which is there at once
                one.type("/length 100000\r")
                one.drain(0.5)
                one.type("go\r")
                one.wait_to_see("writing")
                before = one.bytes
                one.drain(10)
                print(STREAM.judge(f"streaming {RATE} tokens/s", (one.bytes - before) / 10e3))
                print(*_latency(f"keys while {RATE} tokens/s stream", one, list("ÄÖÜäöüßøåé"), "\x15"))
            _watching(run, runs, home)


def _latency(what: str, one: Terminal, keys: list[str], clear: str | None) -> Iterator[str]:
    """Return lines on the time from a key to the first bytes that show it, of `KEYS` presses.

    Args:
        keys: pressed in turn; characters that the screen has to show, where `clear` empties the line they go to.
    """
    times = []
    for number in range(KEYS):
        key = keys[number % len(keys)]
        if clear and number % 30 == 29:
            one.type(clear)
            one.drain(0.1)
        while one.read(0.0):  # what was on its way
            pass
        begin = time.perf_counter()
        one.type(key)
        wanted, got = key.encode() if clear else b"", b""
        while time.perf_counter() - begin < 2:
            data = one.read(0.5)
            got += data
            if data and (not wanted or wanted in got):
                break
        times.append(1e3 * (time.perf_counter() - begin))
        one.read(0.02)
    times.sort()
    yield KEY.judge(f"{what}: median of {KEYS}", times[len(times) // 2]) + "\n"
    yield KEY_99.judge(f"{what}: 99th", times[int(len(times) * 0.99)]) + f" (most {times[-1]:.0f})"


def _watching(run: Path, runs: Path, home: Path) -> None:
    """Compare the steps of a run in turns with and without an app that watches it."""
    lost = []
    for _ in range(4):
        made = {}
        for watched in (False, True):
            with terminal(app_words(runs), home, (45, 140)) if watched else contextlib.nullcontext() as one:
                if one:
                    one.painted()
                    one.drain(10)  # it has started, and found out what is installed
                before, begin = steps(run), time.perf_counter()
                if one:
                    one.drain(12)
                else:
                    time.sleep(12)
                made[watched] = (steps(run) - before) / (time.perf_counter() - begin)
        lost.append(100 * (1 - made[True] / made[False]))
    print(WATCH.judge("training speed lost by watching, median of 4", statistics.median(lost)))
    print("each:", ", ".join(f"{one:.1f}" for one in lost))


def app(options: Options) -> None:
    """First paint, bytes and keys of the app, and what watching costs."""
    first_paint(options)
    idle_bytes(options)
    busy(options)
