"""Hostile texts on every screen and in every echo: nothing of them drives the terminal, the app or the clipboard."""

import shutil
import subprocess
import sys
import time
import unicodedata

import hostile_world
import pytest
from fault_terminal import Terminal, given_back
from hostile_visits import VISITS, mistype, walk, watch
from hostile_world import identity, make_own_files, make_world
from payloads import ARGUMENTS, PAYLOADS, misprinted, misshown

from rnn_tui import safetext
from rnn_tui.runs.lock import RunLock
from rnn_tui.tui.app import RnnTuiApp
from rnn_tui.tui.clipboard import sequence

TEXTS = list(PAYLOADS.values())


# -- the function itself ----------------------------------------------------------------------------------------------


def test_what_may_reach_a_terminal(amount):
    """Every code point, between letters and in a run; twice is once."""
    for first in range(0, 0x110000, 0x1000):
        if 0x40000 <= first < 0xE0000 and first % amount(0x10000, 1):
            continue  # of a plane without characters a block is enough
        block = [chr(code) for code in range(first, first + 0x1000)]
        text = "a".join(block)
        for newlines in (False, True)[: 1 + (first < 0x10000)]:
            shown = safetext.safe_text(text, newlines=newlines, limit=None)
            assert misshown(shown, newlines) == []
            assert safetext.safe_text(shown, newlines=newlines, limit=None) == shown
        # nothing that has a shape of its own is lost
        shown = safetext.safe_text(text, limit=None)
        lost = [
            c
            for c, one in zip(text, shown, strict=True)
            if c != one and unicodedata.category(c)[0] in "LNPSM"
        ]
        assert lost == []
        marks = [
            c * 20 for c in block if unicodedata.category(c)[0] in "MC" or c in "\u115f\u1160\u3164\uffa0"
        ]
        if unicodedata.category(block[0]) not in ("Cn", "Co"):
            assert misshown(safetext.safe_text("a".join(marks), limit=None)) == []


def test_clean_text_passes_quickly(figures):
    """Not once per character in Python, that is; a quiet machine does ten times as much at the least."""
    speeds = []
    for text in (
        "The quick brown fox jumps. " * 40_000,
        "深圳人民公园里有很多人。" * 90_000,
        "naïve café déjà vu " * 50_000,
    ):
        taken = []
        for _ in range(3):
            begin = time.thread_time()
            safetext.safe_text(text, limit=None)
            taken.append(time.thread_time() - begin)
        speeds.append(len(text) / min(taken) / 1e6)
    figures(
        "terminal",
        f"safe_text: {', '.join(f'{speed:.0f}' for speed in speeds)} M characters/s (ASCII, Chinese, French)",
    )
    assert min(speeds) > 3


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_pieces_of_a_stream_are_as_safe_as_the_whole(size):
    text = "\n".join(one[:2000] for one in TEXTS)
    stream = safetext.SafeStream()
    shown = "".join(stream.clean(text[at : at + size]) for at in range(0, len(text), size))
    assert misshown(shown, newlines=True) == []
    if size == 1000:
        assert len(shown) >= len(safetext.safe_text(text, newlines=True, limit=None)) - 10


# -- every screen, without a terminal ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("patient_pilot")
async def test_every_screen(tmp_path, monkeypatch, amount, figures):
    """In one world each text is somewhere; in eight, each on every screen, each time in another place.

    The two visits at the end take as long as the others together and show little that these don't.
    """
    worlds, looks, found = amount(1, 8), 0, []
    visits = amount(VISITS[:-2], VISITS)
    for shift in range(worlds):
        with monkeypatch.context() as patch:
            folder = tmp_path / str(shift)
            folder.mkdir()
            more, seen = await walk(folder, TEXTS, 5 * shift, patch, visits, few=worlds == 1)
        found += [f"world {shift}: {what}" for what in more]
        looks += seen
    figures("terminal", f"{len(TEXTS)} texts in {worlds} worlds, {looks} screens: {len(found)} findings")
    assert found == []


@pytest.mark.slow
@pytest.mark.usefixtures("patient_pilot")
async def test_what_is_no_answer(tmp_path, monkeypatch, figures):
    found, looks = await walk(tmp_path, TEXTS, 0, monkeypatch, (mistype,))
    figures(
        "terminal",
        f"{len(ARGUMENTS)} answers that are none in every input, {looks} screens: {len(found)} findings",
    )
    assert found == []


@pytest.mark.usefixtures("patient_pilot")
async def test_every_screen_needs_safe_text(tmp_path, monkeypatch, figures):
    identity(monkeypatch)
    texts = [PAYLOADS[name] for name in ("clear", "clipboard ST", "C1", "bidi", "C0", "tabs")]
    found, _ = await walk(tmp_path, texts, 0, monkeypatch, (watch,))
    where = {what.split(":")[0] for what in found}
    figures("terminal", f"safe_text left out: found on {len(where)} screens")
    assert len(where) >= 4, where


# -- every screen, in a terminal --------------------------------------------------------------------------------------


def paint(folder, shift, *, broken=False):
    """Go through the panes of a hostile world by keys, in a pseudo-terminal; return what was found in its bytes.

    Of an app that guards nothing the first panes are enough.
    """
    words, plain, corpus = make_world(folder, TEXTS, shift)
    make_own_files(folder, words)
    shutil.copy(corpus, folder / "mark")
    lock = RunLock.acquire(plain)
    program = hostile_world.app_program(broken=broken)
    terminal = Terminal(folder, ["-c", program, str(folder / "runs"), str(shift)], size=(40, 130))
    try:
        terminal.wait_for("Corpus", "mark")
        terminal.settle(0.5)
        pastes = ["\x1b[200~" + words.plain()[:900] + "\x1b[201~" for _ in range(2)]
        keys = ["\x1b2", "\x1b5", "mjmjm", "w", "v", "\x1b", "d", "u", "T", "\x1b", "\x1b6", "j", "j", "j"]
        keys += [
            "\x1b1",
            "emark\r",
            "f",
            "p",
            "v",
            "x",
            "\x1b[6~",
            "w",
            "\x1b3",
            "mark \r",
            pastes[0],
            "\x1bOR",
            "\x1b[18~",
        ]
        keys += [
            "\x1b",
            "\x1b4",
            "f",
            "m",
            "a",
            "b",
            "i",
            pastes[0],
            "\r",
            "\x1b",
            "\x1b[20~",
            "\x1b",
            "\x07",
            "\x1b",
        ]
        keys += ["\x1b2", "v", "\t", "\x1b", "n", pastes[1], "\x13", "\x1b", "\x1b"]
        for key in keys:
            terminal.send(key)
            terminal.settle(*((0.5, 4) if broken else (0.2, 3)))
            if broken and misprinted(terminal.raw):
                break
        found = misprinted(terminal.raw)
        found += [] if terminal.alive else ["the app has left"]
        size = len(terminal.raw)
        terminal.send("\x11")
        code = terminal.end()
        found += given_back(terminal.raw) + ([] if code == 0 else [f"exit code {code}"])
    finally:
        lock.release()
        terminal.close()
    return found, size


@pytest.mark.slow
def test_every_pane_in_a_terminal(tmp_path, amount, figures):
    found, size, worlds = [], 0, amount(1, 4)
    for shift in range(worlds):
        folder = tmp_path / str(shift)
        folder.mkdir()
        more, seen = paint(folder, shift * 5)
        found, size = found + more, size + seen
    figures(
        "terminal",
        f"{worlds} worlds in a pseudo-terminal, {size / 1e6:.1f} MB to it: {len(found)} bytes or modes of a text",
    )
    assert found == []


def test_a_terminal_would_see_it_without_safe_text(tmp_path, figures):
    found, _ = paint(tmp_path, 7, broken=True)
    figures("terminal", f"safe_text left out in a pseudo-terminal: {len(found)} found")
    assert found


@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
def test_no_text_reaches_the_clipboard_of_tmux(tmp_path, figures):
    """With `set-clipboard on`, which lets a program write it. That it would is shown first."""
    socket = str(tmp_path / "tmux")

    def tmux(*words, check=True):
        done = subprocess.run(["tmux", "-S", socket, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or not check, done.stderr
        return done

    make_world(tmp_path, [text for name, text in PAYLOADS.items() if "clipboard" in name], 0)
    program = tmp_path / "app.py"
    program.write_text(hostile_world.app_program())
    environment = {f"RNN_TUI_{n}_DIR": str(tmp_path / n) for n in ("STATE", "CACHE", "CONFIG", "DATA")}
    command = f"exec {sys.executable} {program} {tmp_path / 'runs'} 0"
    try:
        tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "sh")
        tmux("set-option", "-g", "set-clipboard", "on")
        tmux("set-option", "-g", "allow-passthrough", "on", check=False)
        probe = tmp_path / "probe"
        probe.write_text(PAYLOADS["clipboard ST"])
        tmux("send-keys", f"cat {probe}", "Enter")
        wait_until(lambda: tmux("show-buffer", check=False).stdout == "mark")
        tmux("delete-buffer")
        tmux(
            "new-window", "-n", "app", *(f"-e{name}={value}" for name, value in environment.items()), command
        )
        wait_until(lambda: "Corpus" in tmux("capture-pane", "-p", "-t", "app").stdout, 30)
        for key in ("M-2", "M-5", "m", "j", "m", "M-6", "j", "M-3", "mark", "Enter", "M-2"):
            tmux("send-keys", "-t", "app", key)
            time.sleep(0.4)

        def form():
            tmux("send-keys", "-t", "app", "n")
            time.sleep(0.3)
            return "ctrl+s" in tmux("capture-pane", "-p", "-t", "app").stdout

        wait_until(form)  # it lives
        assert tmux("show-buffer", check=False).returncode == 1, "a text is in the clipboard"
    finally:
        tmux("kill-server", check=False)
    figures("terminal", "tmux with set-clipboard on: its buffer stays empty")


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_what_a_user_copies_is_what_is_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("RNN_TUI_STATE_DIR", str(tmp_path))
    assert sequence("mark", tmux=False) == "\x1b]52;c;bWFyaw==\x07"
    assert sequence("mark", tmux=True) == "\x1b]52;c;bWFyaw==\x07\x1bPtmux;\x1b\x1b]52;c;bWFyaw==\x07\x1b\\"
    assert sequence("x" * 56_246, tmux=False) is None  # 74,996 bytes in base64
    assert sequence("x" * 56_243, tmux=False) is not None
    app = RnnTuiApp(tmp_path / "runs")
    told = []
    monkeypatch.setattr(app, "tell", told.append)
    app.copy_to_clipboard("深圳 mark")
    kept = tmp_path / "copied.txt"
    assert kept.read_text() == "深圳 mark"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert str(kept) in told[0]
