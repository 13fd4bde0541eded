"""The terminal driver, hardened for lines that break.

Textual 8.2.8 decodes input strictly, so that the X10 mouse bytes which some terminals send after a reattach raise
UnicodeDecodeError and end the app; and it neither notices the end of input nor a terminal that is gone, so that an
orphan spins on a readable, empty descriptor.
"""

import codecs
import os
import selectors
import sys
from collections.abc import Callable
from typing import IO, Any

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver


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


class Driver(LinuxDriver):
    """LinuxDriver that reads any bytes and leaves when the terminal does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gone = False
        assert sys.__stderr__ is not None
        self._file: Any = _Tolerant(sys.__stderr__, self._terminal_lost)

    def _terminal_lost(self) -> None:
        if not self._gone:
            self._gone = True
            self._app.call_later(self._app.exit, None, 129)

    def run_input_thread(self) -> None:
        """Read, decode and dispatch until the app leaves or the input ends."""
        parser = XTermParser(self._debug)
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
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
                    for message in parser.feed(_alt_digit(decode(data))):
                        self.process_message(message)
                for message in parser.tick():
                    self.process_message(message)
