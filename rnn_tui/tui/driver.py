"""The terminal driver, hardened for lines that break, signals, and bytes that nobody expects.

Textual 8.2.8 decodes input strictly, so that the X10 mouse bytes which some terminals send after a reattach raise
UnicodeDecodeError and end the app, as a key code beyond Unicode does; it neither notices the end of input nor a
terminal that is gone, so that an orphan spins on a readable, empty descriptor; and it takes SIGCONT for the end of its
own suspension: after a SIGSTOP two threads read the keys, and the terminal is left raw.
"""

import codecs
import contextlib
import os
import selectors
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterable
from typing import IO, Any

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

_LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PATIENCE = 3.0
"""Seconds until a process that was told to leave ends without taking its widgets down."""
_LARGEST_SCREEN = 500_000
"""Cells; a terminal that reports more has sent something else."""
_GIVE_BACK = b"\x1b[?2004;2048;1000;1003;1015;1006;1016l\x1b[?7h\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"


class _Tolerant:
    """Output that goes nowhere once the terminal is gone, instead of ending the writer thread and blocking the app."""

    def __init__(self, file: IO[str], lost: Callable[[], None]) -> None:
        self._file, self._lost = file, lost

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except (OSError, ValueError):
            self._lost()
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except (OSError, ValueError):
            self._lost()

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return True


def _alt_digit(text: str) -> str:
    """Rewrite escape-digit, when it comes alone, as the kitty protocol's alt+digit.

    Textual takes the bytes that most terminals send for alt+4 for a cent sign, a habit of one terminal on macOS.
    """
    if len(text) == 2 and text[0] == "\x1b" and text[1] in "0123456789":
        return f"\x1b[{ord(text[1])};3u"
    return text


class Pastes:
    """Makes escapes within what is pasted visible.

    Textual's parser takes what follows one for keys, so that a text could press them, and may miss the paste's end.
    """

    BEGIN, END = "\x1b[200~", "\x1b[201~"

    def __init__(self) -> None:
        self._inside = False
        self._rest = ""
        """What may be the beginning of a mark: of the end held back, of the beginning handed on already."""

    def clean(self, text: str) -> str:
        """Return what comes next, which may end anywhere, with no escape between the marks of a paste."""
        done = ""
        if not self._inside:
            before = len(self._rest)
            both = self._rest + text
            begin = both.find(self.BEGIN)
            if begin < 0:
                self._rest = both[-len(self.BEGIN) + 1 :]
                return text
            self._inside, self._rest = True, ""
            cut = begin + len(self.BEGIN) - before
            done, text = text[:cut], text[cut:]
        text = self._rest + text
        pasted, ended, following = text.partition(self.END)
        if ended:
            self._inside, self._rest = False, ""
            return done + _shown(pasted) + ended + self.clean(following)
        keep = next((n for n in range(len(self.END) - 1, 0, -1) if text.endswith(self.END[:n])), 0)
        self._rest = text[len(text) - keep :]
        return done + _shown(text[: len(text) - keep])


def _shown(pasted: str) -> str:
    return pasted.replace("\x1b", "␛")


class Driver(LinuxDriver):
    """LinuxDriver that reads any bytes, gives the terminal back on every signal, and leaves when the terminal does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gone = False
        assert sys.__stderr__ is not None
        self._file: Any = _Tolerant(sys.__stderr__, self._terminal_lost)
        self._parser = XTermParser(self._debug)
        # By the loop and not by Python's handlers, which run in the middle of anything: one that writes while the
        # writer's queue is locked waits for ever.
        for number in _LEAVING:
            self._loop.add_signal_handler(number, self._leave, 128 + number)
        self._loop.add_signal_handler(signal.SIGTSTP, self._sigtstp_application)
        self._loop.add_signal_handler(signal.SIGCONT, self._sigcont_application)

    # -- leaving --------------------------------------------------------------------------------------------------

    def _leave(self, code: int) -> None:
        """End the app with `code`, and the process if that takes too long: a terminal may take no bytes any more."""
        watchdog = threading.Timer(_PATIENCE, self._end, (code,))
        watchdog.daemon = True
        watchdog.start()
        self._app.call_later(self._app.exit, None, code)

    def _end(self, code: int) -> None:
        with contextlib.suppress(OSError, termios.error):
            os.set_blocking(self._file.fileno(), False)
            os.write(self._file.fileno(), _GIVE_BACK)
            if self.attrs_before is not None:
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        os._exit(code)

    def _terminal_lost(self) -> None:
        if not self._gone:
            self._gone = True
            self._leave(128 + signal.SIGHUP)

    def _sigcont_application(self, *_: object) -> None:
        if self._auto_restart and not self._must_signal_resume:  # SIGSTOP gave no time to tidy up: now, then
            self.suspend_application_mode()
            self._must_signal_resume = True
        super()._sigcont_application()

    def _disable_mouse_support(self) -> None:
        super()._disable_mouse_support()
        if self._mouse_pixels:  # Textual leaves these on
            self.write("\x1b[?1016l")

    # -- reading --------------------------------------------------------------------------------------------------

    def run_input_thread(self) -> None:
        """Read, decode and dispatch until the app leaves or the input ends."""
        decode, pastes = codecs.getincrementaldecoder("utf-8")("replace").decode, Pastes()
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(0.1):
                    try:
                        data = os.read(self.fileno, 4096)
                    except OSError:
                        data = b""
                    if not data:
                        self._terminal_lost()
                        return
                    text = pastes.clean(_alt_digit(decode(data)))
                    self._dispatch(lambda: self._parser.feed(text))  # noqa: B023  called before the next one is read
                self._dispatch(lambda: self._parser.tick())

    def _dispatch(self, parse: Callable[[], Iterable[Message]]) -> None:
        """Process what was read, up to where the parser breaks: on a key code beyond Unicode, or a screen of size 0."""
        try:
            for message in parse():
                if isinstance(message, events.Resize) and not 0 < message.size.area <= _LARGEST_SCREEN:
                    continue
                self.process_message(message)
        except Exception:
            before, self._parser = self._parser, XTermParser(self._debug)
            self._parser.mouse_pixels = before.mouse_pixels
            self._parser.terminal_size = before.terminal_size
            self._parser.terminal_pixel_size = before.terminal_pixel_size
