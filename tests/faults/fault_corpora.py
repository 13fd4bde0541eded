"""Texts, names and settings from a stranger, each with what must be said of it."""

import http.server
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fault_models import Hang, patience

from rnn_tui.errors import RnnTuiError

PLAIN = b"the quick brown fox jumps over the lazy dog\n"

PATIENCE = 20.0


def outcome(call, *arguments):
    """What a call returned, or its refusal; anything else, or no answer in time, is a finding."""
    begin = time.process_time()
    try:
        with patience(PATIENCE):
            result = call(*arguments)
    except RnnTuiError as error:
        result = error
    except Hang:
        return "hangs"
    except Exception as error:
        return f"raises {type(error).__name__}: {error}"[:200]
    took = time.process_time() - begin
    return result if took < 3.0 else f"takes {took:.1f} s"


def refusal(result, code: int, phrase: str) -> str:
    """Return what is wrong with a refusal that was expected, or the empty string."""
    if not isinstance(result, RnnTuiError):
        return f"is not refused: {result}"[:200]
    message = str(result)
    if result.exit_code != code or phrase not in message or len(message) > 600 or "\n" in message:
        return f"is refused otherwise: {result.exit_code}: {message}"[:400]
    return ""


# -- texts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """A corpus: refused with a phrase, or read unchanged with these counts and the word of it in the notes."""

    name: str
    data: bytes
    refused: str = ""
    noted: str = ""
    counts: tuple = ()
    """(characters, CRLF, NUL, controls, invalid bytes, offset of the first)."""
    read_as: str = ""
    """What it becomes, where that is not `data`."""


def _bits(count: int) -> bytes:
    return bytes((n * 7919 + n * n) % 256 for n in range(count))


# fmt: off
TEXTS = [
    Text("empty", b"", "the file is empty"),
    Text("only a byte order mark", b"\xef\xbb\xbf", "the text is empty but for a byte order mark"),
    Text("one character", b"a", "too short: 1 characters leave 0 tokens to train on, at least 2 are needed"),
    Text("two characters", b"ab", "too short: 2 characters leave 1 tokens to train on"),
    Text("less than a window", b"hello world", "has 9 tokens, too few for one batch of 2 windows of 8 (that takes 17)"),
    Text("one symbol", b"a" * 500, "one token over and over, so there is nothing to learn"),
    Text("UTF-16", ("wide " * 50).encode("utf-16"), "looks like UTF-16, not UTF-8; convert it first: iconv -f UTF-16"),
    Text("UTF-16, no mark", ("wide " * 50).encode("utf-16-le"), "looks like UTF-16LE, not UTF-8"),
    Text("UTF-32", ("wide " * 50).encode("utf-32"), "looks like UTF-32, not UTF-8"),
    Text("GBK", "床前明月光，疑是地上霜。".encode("gbk") * 20, "looks like GB18030; convert it first: iconv"),
    Text("PNG", b"\x89PNG\r\n\x1a\n" + _bits(4000), "of its bytes are not UTF-8: give a text file"),
    Text("a program", b"\x7fELF\x02\x01\x01" + bytes(64) + _bits(400) * 4, "of its bytes are NUL: a binary file"),
    Text("2 % NUL", (b"x" * 49 + b"\0") * 20, "2 % of its bytes are NUL"),
    Text("Latin-1", "Vérité en deçà des Pyrénées ".encode("latin-1") * 20,
         noted="it looks like ISO-8859-1; convert it first", counts=(560, 0, 0, 0, 120, 1),
         read_as="V\ufffdrit\ufffd en de\ufffd\ufffd des Pyr\ufffdn\ufffdes " * 20),
    Text("three bad bytes", PLAIN * 5 + b"ab\xff" + PLAIN * 5 + b"\xe6\xb7q",
         noted="3 bytes are not UTF-8 and became U+FFFD, the first at offset 222", counts=(445, 0, 0, 0, 3, 222),
         read_as=PLAIN.decode() * 5 + "ab\ufffd" + PLAIN.decode() * 5 + "\ufffdq"),
    Text("a byte order mark", b"\xef\xbb\xbf" + PLAIN * 5, noted="a byte order mark at the start was left out",
         counts=(220, 0, 0, 0, 0, None), read_as=PLAIN.decode() * 5),
    Text("CRLF and CR", b"one\r\ntwo\rthree\n" * 20, noted="20 lines end in CRLF", counts=(300, 20, 0, 20, 0, None)),
    Text("NUL", PLAIN * 5 + b"\0", noted="1 NUL characters are in the text", counts=(221, 0, 1, 0, 0, None)),
    Text("ESC, BEL, DEL", b"\x1b[31mred\x1b[0m \x07\x7f\n" * 20, noted="80 control characters",
         counts=(320, 0, 0, 80, 0, None)),
    Text("C1", ("a\x9bb\x85c\x90 \n" * 20).encode(), noted="60 control characters", counts=(160, 0, 0, 60, 0, None)),
    Text("clipboard and links", b"\x1b]52;c;aGk=\x07\x1b]8;;http://x\x07link\x1b]8;;\x07\n" * 20,
         noted="120 control characters"),
    Text("right to left", "abc\u202edef\u2066ghi\u2069 \u200f\n".encode() * 20, counts=(300, 0, 0, 0, 0, None)),
    Text("no width", ("a" + "\u200b\u200d\ufeff\u2060" * 500 + "\n").encode() * 4, counts=(8008, 0, 0, 0, 0, None)),
    Text("500 marks", ("e" + "\u0301" * 500 + " ").encode() * 5, counts=(2510, 0, 0, 0, 0, None)),
    Text("composed or not, joined", "é e\u0301 ﬁ \u00a0 \u2028 👩\u200d👩\u200d👧 𝒳\n".encode() * 20,
         counts=(380, 0, 0, 0, 0, None)),
    Text("markup", b"[bold][/][@click=app.quit]x[/] [/ ]] [link=http://x]\n" * 20),
    Text("a long line", b"no end of it " * 20_000),
]

NAMES = ["../x", "/etc", "", ".", "..", "-rf", "a\0b", "a\nb", "n" * 300, "n" * 65, "\x1b[2J", "\u202eabc", "a b",
         "a/b", ".hidden", "_x", "é", "a\n", "\udce9", "[bold]", "con:", "~", "$HOME", "*"]
"""What no run may be called."""

FILE_NAMES = ["\x1b]52;c;aGk=\x07.txt", "new\nline.txt", "n" * 251 + ".txt", "-rf", "[@click=app.quit]x", "\n",
              "\u202eabc.txt", ".hidden", " ", "...", "caf\udce9.txt", "a\x7f\x9b"]
"""What a file may well be called."""

# settings files: (name, content, exit code, phrase)
SETTINGS: list[tuple[str, bytes, int, str]] = [
    ("lists, one in the other", b"x = " + b"[" * 50_000 + b"]" * 50_000, 3, "nested too deeply"),
    ("tables, one in the other", b"x = " + b"{a=" * 50_000 + b"1" + b"}" * 50_000, 3, "nested too deeply"),
    ("a key of 50,000 parts", b".".join([b"a"] * 50_000) + b" = 1", 3, "more than 1,000 dots"),
    ("a section of 50,000 parts", b"[" + b".".join([b"a"] * 50_000) + b"]", 3, "more than 1,000 dots"),
    ("5,000 digits", b"[optim]\nlr = " + b"9" * 5000, 3, "a number has too many digits"),
    ("4,000 digits", b"[runtime]\nseed = " + b"9" * 4000, 2, "runtime.seed must be a whole number"),
    ("300 kB", b"#" * 300_000, 3, "larger than 256 KiB"),
    ("no UTF-8", b'[corpus]\nsource = "caf\xe9"', 3, "not valid TOML"),
    ("NUL", b'[corpus]\nsource = "a\0b"', 3, "not valid TOML"),
    ("no TOML", b"hidden size: 5", 3, "not valid TOML"),
    ("a key twice", b"[model]\nhidden_size = 3\nhidden_size = 4", 3, "Cannot overwrite a value"),
    ("a section twice", b"[model]\n[model]", 3, "Cannot declare ('model',) twice"),
    ("an unknown key", b"[model]\nhiden_size = 3", 2, "no setting model.hiden_size; did you mean 'hidden_size'?"),
    ("a key in capitals", b"[model]\nHIDDEN_SIZE = 3", 2, "there is no setting model.HIDDEN_SIZE"),
    ("an unknown section", b"[modle]\nhidden_size = 3", 2, "there is no section [modle]; did you mean 'model'?"),
    ("a section in capitals", b"[Model]\nhidden_size = 3", 2, "there is no section [Model]; did you mean 'model'?"),
    ("no section", b"model = 3", 2, "[model] must be a table of settings"),
    ("a key of 200 kB", b"[model]\n" + b"k" * 200_000 + b" = 1", 2, "there is no setting model.kkk"),
    ("a value of 200 kB", b'[model]\nencoder = "' + b"k" * 200_000 + b'"', 2, "must be one of auto, one-hot"),
    ("an escape as key", b'[model]\n"\\u001b]52;c;x\\u0007" = 1', 2, "there is no setting model."),
    ("layers -1", b"[model]\nnum_layers = -1", 2, "num_layers must be a whole number from 1 up to 64, not -1"),
    ("layers true", b"[model]\nnum_layers = true", 2, "num_layers must be a whole number from 1 up to 64, not True"),
    ("layers 1e12", b"[model]\nnum_layers = 1e12", 2, "num_layers must be a whole number from 1 up to 64"),
    ("layers in words", b'[model]\nnum_layers = "2"', 2, "num_layers must be a whole number from 1 up to 64, not '2'"),
    ("layers in a list", b"[model]\nnum_layers = [2]", 2, "num_layers must be a whole number from 1 up to 64, not [2]"),
    ("hidden 10^9", b"[model]\nhidden_size = 1_000_000_000", 2, "must be a whole number from 1 up to 65536"),
    ("hidden 0", b"[model]\nhidden_size = 0", 2, "hidden_size must be a whole number from 1 up to 65536, not 0"),
    ("dropout 1", b"[model]\ndropout = 1.0", 2, "dropout must be a number from 0 below 1, not 1.0"),
    ("rate nan", b"[optim]\nlr = nan", 2, "lr must be a number above 0 up to 1000000, not nan"),
    ("rate 0", b"[optim]\nlr = 0.0", 2, "lr must be a number above 0 up to 1000000, not 0.0"),
    ("clip inf", b"[optim]\nclip = inf", 2, "clip must be a number from 0, not inf"),
    ("minutes 1e999", b"[budget]\nminutes = 1e999", 2, "minutes must be a number from 0, not inf"),
    ("a temperature nan", b"[watch]\nsample_temperatures = [0.5, nan]", 2, "sample_temperatures must be a list"),
    ("a date", b"[optim]\nlr = 2020-01-01", 2, "lr must be a number"),
    ("batch 10^9", b"[data]\nbatch_size = 1000000000", 2, "batch_size must be a whole number from 1 up to 65536"),
    ("a step unknown", b'[corpus]\nnormalise = ["lowercas"]', 2, "did you mean 'lowercase'?"),
    ("nothing to train on", b"[corpus]\nvalidation = 0.6\ntest = 0.6", 2, "leave nothing to train on"),
]
# fmt: on


# -- a server that means no good ----------------------------------------------------------------------------------


class _Handler(http.server.BaseHTTPRequestHandler):
    text: bytes

    def do_GET(self) -> None:
        answers: dict[str, Callable[[], None]] = {
            "/good": lambda: self._answer(self.text),
            "/wrong": lambda: self._answer(self.text[:-1] + b"!"),
            "/short": lambda: self._answer(self.text[:-1]),
            "/ten": lambda: self._answer(self.text * 10),
            "/endless": self._endless,
            "/gzip": lambda: self._answer(b"\x1f\x8b\x08\0" + self.text[4:], {"Content-Encoding": "gzip"}),
            "/tar": lambda: self._answer(b"corpus.txt\0" + self.text),
            "/cut": lambda: self._answer(self.text[:100], {"Content-Length": str(len(self.text))}),
            "/length": lambda: self._answer(self.text[:-9], {"Content-Length": "99999999999999"}),
            "/headers": lambda: self._answer(self.text, {f"X-{n}": "x" for n in range(200)}),
            "/header": lambda: self._answer(self.text, {"X-Long": "x" * 100_000}),
            "/nonsense": lambda: self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n"),
            "/silent": lambda: None,
        }
        places = {
            "/http": "http://example.com/good",
            "/ftp": "ftp://127.0.0.1/x",
            "/file": "file:///etc/passwd",
        }
        places |= {"/around": "/around", "/moved": "/good", "/escape": "http://x/\x1b]52;c;aGk=\x07"}
        if self.path in places:
            self._answer(b"", {"Location": places[self.path]}, 302)
        elif self.path in answers:
            answers[self.path]()
        else:
            self._answer(b"<html>404</html>", status=404)

    def _answer(self, body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self._write(body)

    def _write(self, data: bytes) -> bool:
        try:
            self.wfile.write(data)
        except OSError:  # the client has had enough
            return False
        return True

    def _endless(self) -> None:
        self._answer(b"")
        while self._write(b"x" * 65536):
            pass

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def server(text: bytes, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve `text` in all these ways; yield the address."""
    handler = type("Handler", (_Handler,), {"text": text})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        if context is not None:
            running.socket = context.wrap_socket(
                running.socket, server_side=True, do_handshake_on_connect=False
            )
        running.daemon_threads = False  # so that closing waits for them
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}"
        finally:
            running.shutdown()
            thread.join()


def odd_folder(folder: Path, files: int) -> None:
    """Make a folder of so many texts, with loops, a pipe, binaries and hidden files among them."""
    for number in range(files):
        if number % 1000 == 0:
            (folder / f"{number // 1000:03}").mkdir(parents=True)
        (folder / f"{number // 1000:03}" / f"{number:06}.txt").write_bytes(b"%d\n" % number)
    (folder / "loop").symlink_to(folder)
    (folder / "self").symlink_to("self")
    (folder / "gone").symlink_to("nowhere")
    (folder / "zero").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    (folder / ".hidden").write_text("secret")
    (folder / "image.png").write_bytes(b"\x89PNG" + bytes(100))
