import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rnn_tui.corpus import download
from rnn_tui.corpus.download import get
from rnn_tui.corpus.sources import DOWNLOADS
from rnn_tui.errors import DiskError, InputError, RnnTuiError, UsageError

TEXT = (b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 5000)[:300_000]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        bodies = {
            "/good": TEXT,
            "/wrong": TEXT[:-1] + b"!",
            "/larger": TEXT + b"more",
            "/short": TEXT[:-100],
        }
        places = {
            "/moved": "/good",
            "/to-http": "http://example.com/good",
            "/to-file": "file:///etc/passwd",
            "/to-ftp": "ftp://127.0.0.1/good",
            "/around": "/around",
        }
        if self.path in bodies:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bodies[self.path])
        elif self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", str(len(TEXT)))
            self.end_headers()
            self.wfile.write(TEXT[:100_000])
        elif self.path in places:
            self.send_response(302)
            self.send_header("Location", places[self.path])
            self.end_headers()
        else:
            self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = False  # so that closing waits for them
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch, folders: Path) -> Path:
    """Pin the text that the server has; return where it belongs."""
    pin = download._Pinned("https://example.invalid/x", len(TEXT), hashlib.sha256(TEXT).hexdigest())
    monkeypatch.setitem(download._PINNED, "tinyshakespeare", pin)
    return folders / "data" / "corpora" / "tinyshakespeare.txt"


@pytest.mark.parametrize("path", ["/good", "/moved"])
def test_what_is_fetched(server: str, pinned: Path, path: str) -> None:
    said: list[tuple[str, int, int | None]] = []
    assert get("tinyshakespeare", url=server + path, progress=lambda *now: said.append(now)) == pinned
    assert pinned.read_bytes() == TEXT
    assert said[-1] == ("reading", len(TEXT), len(TEXT))
    assert [file.name for file in pinned.parent.iterdir()] == [pinned.name]
    said.clear()
    get("tinyshakespeare", url=server + path, progress=lambda *now: said.append(now))
    assert said == []  # there already


def test_a_changed_file_is_fetched_again(server: str, pinned: Path) -> None:
    pinned.parent.mkdir(parents=True)
    pinned.write_bytes(b"half")
    get("tinyshakespeare", url=server + "/good")
    assert pinned.read_bytes() == TEXT


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("/wrong", InputError, "its SHA-256 differs"),
        ("/larger", InputError, "larger than the 300,000 bytes"),
        ("/short", RnnTuiError, "the connection ended after 299,900 of 300,000 bytes"),
        ("/cut", RnnTuiError, "the connection ended after 100,000 of 300,000 bytes"),
        ("/missing", RnnTuiError, "the server answered 404 Not Found"),
        ("/around", RnnTuiError, "the server answered 302"),
        ("/to-http", InputError, "redirects to http://example.com/good, which is not https"),
        ("/to-file", RnnTuiError, "the server answered 302"),
        ("/to-ftp", InputError, "redirects to ftp://127.0.0.1/good, which is not https"),
    ],
)
def test_what_is_refused(
    server: str, pinned: Path, path: str, error: type[RnnTuiError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        get("tinyshakespeare", url=server + path)
    assert type(caught.value) is error
    if not path.startswith("/to-"):
        assert f"save it as {pinned}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(pinned.parent.iterdir())


def test_a_failure_keeps_the_earlier_file(server: str, pinned: Path) -> None:
    pinned.parent.mkdir(parents=True)
    pinned.write_bytes(b"an older edition")
    with pytest.raises(InputError):
        get("tinyshakespeare", url=server + "/wrong")
    assert pinned.read_bytes() == b"an older edition"


def test_nobody_answers(pinned: Path) -> None:
    with pytest.raises(
        RnnTuiError, match=r"http://127\.0\.0\.1:9/x: it cannot be reached .*Connection refused"
    ):
        get("tinyshakespeare", url="http://127.0.0.1:9/x")


def test_without_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.setattr("socket.create_connection", offline)
    with pytest.raises(
        RnnTuiError, match=r"https://example\.invalid/x: it cannot be reached .*is this machine online"
    ):
        get("tinyshakespeare")


@pytest.mark.parametrize(
    "url", ["http://example.com/x", "file:///etc/passwd", "/etc/passwd", "ftp://127.0.0.1/x"]
)
def test_only_https(url: str) -> None:
    with pytest.raises(UsageError, match="over https only"):
        get("tinyshakespeare", url=url)


@pytest.mark.parametrize(
    ("name", "message"),
    [("stdlib", "built in"), ("tinyshakespear", "did you mean 'tinyshakespeare'"), ("", "no corpus")],
)
def test_other_names(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get(name)


def test_no_room(server: str, pinned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rnn_tui.files.write_all", full)
    with pytest.raises(DiskError, match="no space left"):
        get("tinyshakespeare", url=server + "/good")
    assert not list(pinned.parent.iterdir())


def test_each_download_is_pinned_over_https() -> None:
    assert set(download._PINNED) == set(DOWNLOADS)
    for pin in download._PINNED.values():
        assert pin.url.startswith("https://")
        assert len(pin.sha256) == 64
