"""The app and the commands on terminals that send signals, odd bytes and odd sizes, and that go away.

What is broken on purpose here is the driver: with TEXTUAL_DRIVER the app takes Textual's own.
"""

import contextlib
import json
import os
import random
import signal
import termios
import time

import psutil
import pytest
from fault_terminal import APP, Terminal, given_back

from rnn_tui.runs.events import EventWriter
from rnn_tui.runs.folder import create_run
from rnn_tui.runs.lock import RunLock
from rnn_tui.runs.status import my_status, write_status
from rnn_tui.tui.driver import Pastes

TEXTUALS_OWN = {"TEXTUAL_DRIVER": "textual.drivers.linux_driver:LinuxDriver"}
RUNS, PLUGINS = "\x1b[53;3u", "\x1b[54;3u"  # alt+5 and alt+6, as the kitty protocol has them
QUIT = "\x11"


@contextlib.contextmanager
def opened(folder, **more):
    """An app on an empty folder of runs; its footer, the last to come, is there."""
    terminal = Terminal(folder, ["-c", APP, str(folder / "runs")], **more)
    try:
        terminal.wait_to_see("palette")
        yield terminal
    finally:
        terminal.close()


def answers(terminal, seconds=60):
    """Whether the app still does what keys say, pressed again where they got lost in what came before them."""
    end = time.monotonic() + seconds
    for key, shown in ((PLUGINS, "RNN_TUI_PLUGINS is set"), (RUNS, "No runs here yet")):
        while shown not in terminal.text():
            if time.monotonic() > end or not terminal.alive:
                return False
            terminal.send(key)
            with contextlib.suppress(AssertionError):
                terminal.wait_to_see(shown, seconds=5)
    return True


def leaves(terminal, code=0, seconds=60):
    """Quit; return what is wrong with the end."""
    terminal.send(QUIT)
    ended = terminal.end(seconds)
    wrong = given_back(terminal.raw)
    return wrong + ([f"exit code {ended}"] if ended != code else [])


def echoes(terminal):
    return bool(termios.tcgetattr(terminal.child.child_fd)[3] & termios.ECHO)


# -- signals ----------------------------------------------------------------------------------------------------------


def end_by_signal(folder, number, seconds=60, **more):
    """Send a signal to a settled app; return what is wrong."""
    with opened(folder, **more) as terminal:
        terminal.signal(number)
        code = terminal.end(seconds)
        wrong = given_back(terminal.raw)
        wrong += [f"exit code {code}"] if code != 128 + number else []
        wrong += ["a traceback"] if b"Traceback" in terminal.raw else []
        return [f"{number.name}: {what}" for what in wrong] + (
            [] if echoes(terminal) else ["the terminal is raw"]
        )


RARELY = [pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGTERM, signal.SIGHUP)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, *RARELY])
def test_a_signal_gives_the_terminal_back(tmp_path, number):
    assert end_by_signal(tmp_path, number) == []


def test_textuals_own_driver_does_not(tmp_path):
    assert "SIGQUIT: the alternate screen" in end_by_signal(tmp_path, signal.SIGQUIT, 5, **TEXTUALS_OWN)


def test_a_signal_at_any_moment_of_the_start(tmp_path, amount, seed, figures):
    chosen, found, count = random.Random(seed), [], amount(2, 60)
    for _ in range(count):
        number = chosen.choice([signal.SIGTERM, signal.SIGHUP])
        terminal = Terminal(tmp_path, ["-m", "rnn_tui", "--runs-dir", str(tmp_path / "runs")])
        try:
            wait = chosen.uniform(0.1, 1.5)
            terminal.read(wait)
            terminal.signal(number)
            code = terminal.end(10)
            wrong = given_back(terminal.raw) + ([f"exit code {code}"] if code != 128 + number else [])
            found += [f"{number.name} after {wait:.2f} s: {what}" for what in wrong]
        finally:
            terminal.close()
    figures("signals", f"app ended at {count} moments of its start: {len(found)} terminals not given back")
    assert found == []


def unpainted(terminal):
    return [word for word in ("1 Corpus", "6 Plugins", "No runs", "Quit") if word not in terminal.text()]


def stop_and_go_on(folder, how, **more):
    """Stop the app twice as a shell does, or from outside; return what is wrong afterwards."""
    found = []
    with opened(folder, **more) as terminal:
        for _ in range(2):
            if how == "ctrl+z":
                terminal.send("\x1a")
                with contextlib.suppress(AssertionError):
                    terminal.wait_until(
                        lambda: psutil.Process(terminal.pid).status() == psutil.STATUS_STOPPED, 30
                    )
                terminal.settle(0.1)
                found += [f"while it sleeps: {what}" for what in given_back(terminal.raw)]
                found += [] if echoes(terminal) else ["while it sleeps: the terminal is raw"]
            else:
                terminal.signal(signal.SIGSTOP)
                time.sleep(0.1)
            terminal.raw = b""  # what was on the screen is gone
            terminal.signal(signal.SIGCONT)
            with contextlib.suppress(AssertionError):
                terminal.wait_until(lambda: not unpainted(terminal), 20)
            found += [f"not painted again: {word}" for word in unpainted(terminal)]
            if how == "ctrl+z":
                terminal.send("\x1b")
        threads = psutil.Process(terminal.pid).num_threads()
        found += [] if answers(terminal) else ["no key is answered"]
        found += [] if threads < 12 else [f"{threads} threads"]
        found += leaves(terminal)
        found += [] if echoes(terminal) else ["the terminal is left raw"]
    return found


@pytest.mark.parametrize("how", ["ctrl+z", "SIGSTOP"])
def test_after_a_stop_all_is_painted_again(tmp_path, how):
    assert stop_and_go_on(tmp_path, how) == []


@pytest.mark.slow
def test_textuals_own_driver_takes_sigstop_badly(tmp_path):
    assert "the terminal is left raw" in stop_and_go_on(tmp_path, "SIGSTOP", **TEXTUALS_OWN)


# -- the terminal is gone ---------------------------------------------------------------------------------------------


def orphan(folder, *, broken):
    """An app whose terminal vanishes with SIGHUP ignored for good; return seconds until it ended, and CPU seconds."""
    program = "import signal, asyncio\nnever = lambda self, n, *a: None if n == 1 else add(self, n, *a)\n"
    program += (
        "loop = asyncio.SelectorEventLoop\nadd, loop.add_signal_handler = loop.add_signal_handler, never\n"
    )
    more = TEXTUALS_OWN if broken else {}
    terminal = Terminal(folder, ["-c", program + APP, str(folder / "runs")], ignore=(signal.SIGHUP,), **more)
    try:
        terminal.wait_to_see("palette")
        before = terminal.cpu()
        terminal.child.ptyproc.fileobj.close()
        begin = time.monotonic()
        after = before
        while terminal.alive and time.monotonic() - begin < (10 if broken else 60):
            with contextlib.suppress(psutil.Error):
                after = terminal.cpu()
            time.sleep(0.05)
        return (None if terminal.alive else time.monotonic() - begin), after - before
    finally:
        terminal.close()


def test_a_terminal_that_vanishes_with_hangups_ignored(tmp_path, figures):
    took, spent = orphan(tmp_path, broken=False)
    figures(
        "signals",
        f"terminal gone, SIGHUP ignored: ended after {took or 9:.1f} s and {spent:.1f} s of processor time",
    )
    assert took is not None
    assert spent < 4  # and not all of ten seconds, as Textual's own


@pytest.mark.slow
def test_textuals_own_driver_lives_on(tmp_path, figures):
    took, spent = orphan(tmp_path, broken=True)
    figures(
        "signals",
        f"the same with Textual's driver: {'lives on' if took is None else 'ends'}, {spent:.1f} s spent",
    )
    assert took is None


# -- bytes ------------------------------------------------------------------------------------------------------------

BYTES = [
    b"\x1b[M \xe0\xe0xx",  # X10 mouse report beyond column 95: no UTF-8
    b"\x1b[M\xff\xff\xff\x1b[M #\x80\x1b[M\xc3",
    b"\xff\xfe\xc3\x28\xf0\x9f\x92x",
    b"\x1b[1114112;1u\x1b[97;1;1114112u\x1b[:u\x1b[9999999999999999999999999;1u",  # key codes beyond Unicode
    b"\x1b[48;0;0;0;0t\x1b[<0;5;5M",  # a terminal of no size
    b"\x1b[48;99999;99999;1;1t",  # and one of ten thousand million cells
    b"\x1b[<99999999999999999999;1;1M\x1b[<0;-1;-1m\x1b[<35;500;500M",
    b"\x1b[1;1R\x1b[?2026;2$y\x1b[?2048;9$y\x1b[I\x1b[O\x1b[I",
    b"\x1b[" + b"1;" * 40 + b"M\x1b" + b"[" * 100,
    b"\x1b[200~\x1b[31m\x9b\x00\x1b[201~",
]
NOISE = bytes([*range(0x80, 0x100), *b"\x1b[<;MmIO?0123456789" * 4])
"""Bytes that no key which leaves the app is made of."""


def type_bytes(folder, pieces, **more):
    """Type bytes that nobody expects; return what is wrong."""
    found = []
    with opened(folder, **more) as terminal:
        for piece in pieces:
            terminal.send(piece)
            terminal.read(0.05)
            if not terminal.alive:
                return [f"ended after {piece[:30]!r}"]
        terminal.read(0.3)
        terminal.send("  ")  # ends what is unfinished
        found += [] if answers(terminal) else ["no key is answered"]
        terminal.resize(24, 80)
        found += leaves(terminal, seconds=120)  # 15,000 bytes of noise keep it busy for a minute
    return found


def test_bytes_that_nobody_expects(tmp_path, figures):
    split = [bytes([byte]) for byte in b"".join(BYTES[:3])]  # each byte by itself
    assert type_bytes(tmp_path, BYTES + split) == []
    figures("signals", f"{len(BYTES)} kinds of bytes that break Textual's reader: the app lives")


@pytest.mark.parametrize("which", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_textuals_own_driver_breaks_over_them(tmp_path, which):
    assert type_bytes(tmp_path, [BYTES[which]], **TEXTUALS_OWN)


PASTED = "mark \x1b[31m\x1b[2\x1b\x1b"


@pytest.mark.parametrize("size", range(1, 20))
def test_a_paste_presses_no_keys(size):
    """However the bytes are cut; what is outside of it stays as it is."""
    text = f"a\x1b[24~{Pastes.BEGIN}{PASTED}{Pastes.END}b{Pastes.BEGIN}{Pastes.END}\x1b"
    pastes = Pastes()
    found = "".join(pastes.clean(text[at : at + size]) for at in range(0, len(text), size))
    assert found == text.replace(PASTED, "mark ␛[31m␛[2␛␛")


TAKEN_FOR_KEYS = [b"\x1b[51;3u", b"\x1b[200~\x1b[q" + QUIT.encode() + b"q\x1b[31mqqq\x1b[201~"]


def test_a_pasted_text_leaves_nothing_behind(tmp_path):
    assert type_bytes(tmp_path, TAKEN_FOR_KEYS) == []


@pytest.mark.slow
def test_textuals_own_driver_takes_it_for_keys(tmp_path):
    assert type_bytes(tmp_path, TAKEN_FOR_KEYS, **TEXTUALS_OWN)


def test_noise_and_a_huge_paste(tmp_path, amount, seed, figures):
    chosen = random.Random(seed)
    noise, paste = amount(500, 15_000), amount(20_000, 1_000_000)
    pieces = [bytes(chosen.choices(NOISE, k=noise)), b"\x1b\x1b  \x1b3"]
    pieces += [b"\x1b[200~" + b"mark \x1b[31m " * (paste // 11) + b"\x1b[201~"]
    assert type_bytes(tmp_path, pieces) == []
    figures("signals", f"{noise:,} bytes of noise and a paste of {paste:,} bytes: the app lives")


# -- sizes ------------------------------------------------------------------------------------------------------------


def test_a_storm_of_sizes(tmp_path, amount, seed, figures):
    chosen, count = random.Random(seed), amount(60, 500)
    with opened(tmp_path) as terminal:
        terminal.settle(1)
        before = terminal.text()
        begin = time.monotonic()
        for _ in range(count):
            terminal.resize(chosen.randint(1, 100), chosen.randint(1, 300))
            terminal.read(2 / 500)
        took = time.monotonic() - begin
        terminal.raw = b""  # a change of the size makes the app paint everything
        terminal.resize(24, 80)
        with contextlib.suppress(AssertionError):
            terminal.wait_until(lambda: terminal.text() == before)
        after = terminal.text()
        figures(
            "signals",
            f"{count} sizes from 1x1 to 300x100 within {took:.1f} s: the screen is right afterwards: {after == before}",
        )
        assert after == before
        assert answers(terminal)
        assert leaves(terminal) == []


def test_a_size_that_changed_back_before_it_was_heard_is_painted_again(tmp_path):
    """The terminal cut what it showed, and the app sees the size that it knows."""
    with opened(tmp_path) as terminal:
        terminal.settle(1)
        before, terminal.raw = terminal.text(), b""
        os.kill(terminal.pid, signal.SIGWINCH)
        terminal.wait_until(lambda: terminal.text() == before)


def test_a_terminal_of_twenty_by_five(tmp_path):
    terminal = Terminal(tmp_path, ["-c", APP, str(tmp_path / "runs")], size=(5, 20))
    try:
        terminal.wait_for("Corpus")
        for key in ("\x1b1", "\x1b2", "n", "\x1b", "\x1b3", "\x1b4", "\x1b5", "\x1b6", "?", "\x1b"):
            terminal.send(key)
            terminal.settle(0.1, 2)
        assert terminal.alive
        assert leaves(terminal) == []
    finally:
        terminal.close()


def test_two_apps_on_one_run(tmp_path, monkeypatch):
    """Both show it, and what each asks for lies in the inbox with its origin."""
    run = create_run(tmp_path / "runs", "both", {"corpus": {"source": "x"}, "model": {"arch": "lstm"}})
    log = EventWriter(run.events_path, 1)
    log.write("start", 0, arch="lstm", total_steps=100)
    log.write("train", 10, loss=2.5, lr=0.01)
    lock = RunLock.acquire(run)
    write_status(run, my_status("running", attempt=1, step=10))
    apps = [Terminal(tmp_path, ["-c", APP, str(tmp_path / "runs")]) for _ in range(2)]
    try:
        for app in apps:
            app.wait_for("running")
            app.wait_to_see("palette")
            app.send("c")
        deadline = time.monotonic() + 60
        while len(list(run.inbox.glob("[!.]*"))) < 2 and time.monotonic() < deadline:
            for app in apps:
                app.read(0.05)
        asked = [json.loads(path.read_text()) for path in run.inbox.glob("[!.]*")]
        assert [(one["command"], one["origin"]) for one in asked] == [("checkpoint", "app")] * 2
        log.write("train", 20, loss=2.4321, lr=0.01)
        for app in apps:
            app.wait_to_see("train        2.432")
            assert leaves(app) == []
    finally:
        for app in apps:
            app.close()
        lock.release()
        log.close()
