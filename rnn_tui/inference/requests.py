"""What the prompt engine is asked: the requests of its protocol, and the thread that reads them.

`rnn_tui.inference.engine` documents the messages; those that look into a model are in `inspect_requests`. Free of
torch.
"""

import queue
import threading
from io import BufferedReader
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from rnn_tui.errors import nearest
from rnn_tui.inference.inspect_requests import Inspect

LINE_LIMIT = 16 * 2**20


Slot = Annotated[str, Meta(min_length=1, max_length=64)]
Top = Annotated[int, Meta(ge=1, le=50)]
ROWS = 64
"""Continuations in a batch, at most."""


class _Message(msgspec.Struct, tag_field="op", forbid_unknown_fields=True):
    pass


class Load(_Message, tag="load"):
    id: int
    path: str
    slot: Slot = "main"
    device: str = "cpu"


class Unload(_Message, tag="unload"):
    slot: Slot = "main"
    id: int | None = None


class Generate(_Message, tag="generate"):
    id: int
    slot: Slot = "main"
    after: int | None = msgspec.field(default=None, name="from")
    prompt: str = ""
    settings: dict[str, Any] = {}


class Batch(Generate, tag="batch", kw_only=True):
    n: Annotated[int, Meta(ge=1, le=ROWS)]


class Next(_Message, tag="next"):
    id: int
    slot: Slot = "main"
    after: int | None = msgspec.field(default=None, name="from")
    prompt: str = ""
    top: Top = 10


class Push(_Message, tag="push"):
    id: int
    token: int
    slot: Slot = "main"
    after: int | None = msgspec.field(default=None, name="from")
    top: Top = 10


class Save(_Message, tag="save"):
    id: int
    state: int
    path: str
    text: str = ""


class Restore(_Message, tag="restore"):
    id: int
    path: str
    slot: Slot = "main"
    top: Top = 10


class Cancel(_Message, tag="cancel"):
    target: int
    id: int | None = None


class Forget(_Message, tag="forget"):
    state: int
    id: int | None = None


class Quit(_Message, tag="quit"):
    id: int | None = None


class Refused(msgspec.Struct):
    """A line that is no request; answered in its turn."""

    id: int | None
    message: str


Answered = Load | Generate | Batch | Next | Push | Save | Restore | Inspect
"""The requests that have an answer, and can be cancelled until it is there."""
Request = Answered | Unload | Cancel | Forget | Quit
OPERATIONS = tuple(str(kind.__struct_config__.tag) for kind in get_args(Request))
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
            if isinstance(request, Answered):
                with self._lock:
                    self._open.add(request.id)
            self._requests.put(request)
        self._closed = True
        self._requests.put(None)
