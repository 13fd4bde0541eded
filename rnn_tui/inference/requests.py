"""What the prompt engine is asked: the requests of its protocol, and the thread that reads them.

`rnn_tui.inference.engine` documents the messages. Free of torch.
"""

import queue
import threading
from io import BufferedReader
from typing import Any

import msgspec

from rnn_tui.errors import nearest

LINE_LIMIT = 16 * 2**20


class Load(msgspec.Struct, tag="load", tag_field="op", forbid_unknown_fields=True):
    id: int
    path: str
    device: str = "cpu"


class Generate(msgspec.Struct, tag="generate", tag_field="op", forbid_unknown_fields=True):
    id: int
    prompt: str = ""
    settings: dict[str, Any] = {}
    after: int | None = msgspec.field(default=None, name="from")


class Next(msgspec.Struct, tag="next", tag_field="op", forbid_unknown_fields=True):
    id: int
    prompt: str = ""
    after: int | None = msgspec.field(default=None, name="from")


class Cancel(msgspec.Struct, tag="cancel", tag_field="op", forbid_unknown_fields=True):
    target: int
    id: int | None = None


class Forget(msgspec.Struct, tag="forget", tag_field="op", forbid_unknown_fields=True):
    state: int
    id: int | None = None


class Quit(msgspec.Struct, tag="quit", tag_field="op", forbid_unknown_fields=True):
    id: int | None = None


class Refused(msgspec.Struct):
    """A line that is no request; answered in its turn."""

    id: int | None
    message: str


Request = Load | Generate | Next | Cancel | Forget | Quit
OPERATIONS = ("load", "generate", "next", "cancel", "forget", "quit")
_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


def parse(line: bytes) -> Request | Refused:
    """Read one line of the input."""
    number = None
    try:
        fields = msgspec.json.decode(line)
        if isinstance(fields, dict):
            number = fields.get("id") if type(fields.get("id")) is int else None
            op = str(fields.get("op", ""))
            if op not in OPERATIONS:
                return Refused(number, f"there is no operation {op[:40]!r}{nearest(op[:40], OPERATIONS)}")
        request: Request = _decoder.decode(line)
        return request
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Refused(number, f"not a request: {error}")


class Inbox:
    """Reads requests on a thread of its own, so that a cancel is seen while another request is being done."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self._requests: queue.SimpleQueue[Request | Refused | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open: set[int] = set()
        self._cancelled: set[int] = set()
        self._closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def take(self) -> Request | Refused | None:
        """Return the next request, waiting for it; None at the end of the input."""
        return self._requests.get()

    def finish(self, number: int | None) -> None:
        """Say that a request has been answered; a cancel that comes later means nothing."""
        if number is not None:
            with self._lock:
                self._open.discard(number)
                self._cancelled.discard(number)

    def cancelled(self, number: int) -> bool:
        """Whether a request is no longer wanted."""
        return self._closed or number in self._cancelled

    def _read(self) -> None:
        while line := self._file.readline(LINE_LIMIT):
            if len(line) == LINE_LIMIT and not line.endswith(b"\n"):
                while (line := self._file.readline(LINE_LIMIT)) and not line.endswith(b"\n"):
                    pass
                self._requests.put(Refused(None, f"a line of more than {LINE_LIMIT // 2**20} MiB"))
                continue
            if not line.strip():
                continue
            request = parse(line)
            if isinstance(request, Quit):
                break
            if isinstance(request, Cancel):
                with self._lock:
                    if request.target in self._open:
                        self._cancelled.add(request.target)
                continue
            if isinstance(request, Load | Generate | Next):
                with self._lock:
                    self._open.add(request.id)
            self._requests.put(request)
        self._closed = True
        self._requests.put(None)
