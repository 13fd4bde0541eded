"""Keys pressed at random, as a cat does: in every pane of a hostile world, in dialogs, inputs and the palette.

Nothing of it may end the app but the keys that do; none of it may reach a shell or an editor, start training, or write
outside of the folders that are the app's own.
"""

import random
import re
import string
import time

import hostile_world
import pytest
from fault_terminal import Terminal, given_back
from hostile_world import make_world
from payloads import ARGUMENTS, PAYLOADS, misprinted

from rnn_tui.runs.lock import RunLock

PANES = [f"\x1b{n}" for n in range(1, 7)]
LETTERS = [c for c in string.ascii_letters if c not in "qQ"]
"""`q` leaves; ctrl+q and ctrl+z are left out below for the same reason."""
CONTROLS = [chr(code) for code in range(1, 27) if chr(code) not in "\x11\x1a"]
FUNCTIONS = [
    "\x1bOP",
    "\x1bOQ",
    "\x1bOR",
    "\x1bOS",
    *(f"\x1b[{n}~" for n in (15, 17, 18, 19, 20, 21, 23, 24)),
]
MOVES = [
    "\x1b[A",
    "\x1b[B",
    "\x1b[C",
    "\x1b[D",
    "\x1b[H",
    "\x1b[F",
    "\x1b[5~",
    "\x1b[6~",
    "\x1b[3~",
    "\x1b[Z",
    "\t",
    "\r",
]
OTHERS = [*string.digits, *string.punctuation, " ", "\x1b", "\x7f", *(f"\x1b{c}" for c in "wbnhjklx")]

COPIED = re.compile(rb"\x1b\]52;c;[A-Za-z0-9+/]+=*\x07")
"""What a key puts into the clipboard; that no text does is seen elsewhere."""


def mouse(chosen):
    x, y, button = chosen.randint(1, 130), chosen.randint(1, 40), chosen.choice((0, 0, 0, 64, 65))
    return f"\x1b[<{button};{x};{y}M\x1b[<{button};{x};{y}m"


def presses(chosen, count):
    """Yield keys, one after the other; every now and then one that goes to another pane, and a text."""
    for _ in range(count):
        what = chosen.random()
        if what < 0.04:
            yield chosen.choice(PANES)
        elif what < 0.08:
            yield "\x1b[200~" + chosen.choice(ARGUMENTS) + "\x1b[201~"
        elif what < 0.12:
            yield mouse(chosen)
        else:
            yield chosen.choice(chosen.choice((LETTERS, LETTERS, CONTROLS, FUNCTIONS, MOVES, OTHERS)))


def play(folder, count, seed):
    """Press keys; return what is wrong, and how often the app was left by the palette."""
    chosen, found, left = random.Random(seed), [], 0
    _, plain, _ = make_world(folder, list(PAYLOADS.values()), seed)
    (folder / "m.safetensors").write_bytes(b"x")
    lock = RunLock.acquire(plain)
    keys = list(presses(chosen, count))
    program = hostile_world.app_program(harmless=True)
    try:
        while keys:
            terminal = Terminal(
                folder, ["-c", program, str(folder / "runs"), str(seed)], size=(40, 130), HOME=str(folder)
            )
            pressed = []
            try:
                terminal.wait_for("palette")
                while keys and terminal.alive:
                    pressed.append(keys.pop(0))
                    terminal.send(pressed[-1])
                    terminal.read(chosen.choice((0, 0, 0, 0.05, 0.3)))
                terminal.settle(0.5)
                if terminal.alive:
                    terminal.send("\x11")
                code = terminal.end(60)
                said = misprinted(COPIED.sub(b"", terminal.raw), ended=True) + given_back(terminal.raw)
                said += [f"exit code {code}"] if code != 0 else []
                found += [f"{what} after {pressed[-40:]}" for what in said]
                left += 1
            finally:
                terminal.close()
    finally:
        lock.release()
    reports = sorted((folder / "state").rglob("crash-*.txt"))
    return found + [report.read_text()[-1500:] for report in reports], left - 1


@pytest.mark.slow
def test_keys_at_random(tmp_path, amount, seed, figures):
    count = amount(150, 2000)
    begin = time.monotonic()
    found, left = play(tmp_path, count, seed)
    took = time.monotonic() - begin
    figures("signals", f"{count:,} keys at random in {took:.0f} s, left {left} times: {len(found)} findings")
    assert found == []
