"""Servers that mean no good, and no server at all: what is kept is the pinned text or nothing."""

import hashlib
import shutil
import socket
import ssl
import subprocess

import fault_corpora as odd
import pytest
from fault_corpora import outcome, refusal

from rnn_tui.corpus import download

TEXT = odd.PLAIN * 3000
ANSWERS = {
    "/wrong": (3, "its SHA-256 differs"),
    "/gzip": (3, "its SHA-256 differs"),
    "/tar": (3, "larger than the 132,000 bytes"),
    "/ten": (3, "larger than the 132,000 bytes"),
    "/endless": (3, "larger than the 132,000 bytes"),
    "/short": (1, "the connection ended after 131,999 of 132,000 bytes"),
    "/cut": (1, "the connection ended after 100 of 132,000 bytes"),
    "/length": (1, "the connection ended"),
    "/headers": (1, "it cannot be reached"),
    "/header": (1, "it cannot be reached"),
    "/nonsense": (1, "it cannot be reached"),
    "/silent": (1, "it cannot be reached"),
    "/absent": (1, "the server answered 404"),
    "/around": (1, "the server answered 302"),
    "/http": (3, "redirects to http://example.com/good, which is not https"),
    "/escape": (3, "which is not https"),
    "/ftp": (3, "redirects to ftp://127.0.0.1/x, which is not https"),
    "/file": (1, "the server answered 302"),
}


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """Fetch the pinned text from an address; no connection leaves this machine."""
    pin = download._Pinned("https://example.invalid/x", len(TEXT), hashlib.sha256(TEXT).hexdigest())
    monkeypatch.setitem(download._PINNED, "tinyshakespeare", pin)
    connect = socket.create_connection

    def here_only(address, *arguments, **more):
        if address[0] != "127.0.0.1":
            raise socket.gaierror(-2, f"Name or service not known: {address[0]}")
        return connect(address, *arguments, **more)

    monkeypatch.setattr(socket, "create_connection", here_only)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return lambda address=None: download.get("tinyshakespeare", url=address)


def wrong_downloads(fetch, server: str) -> list[str]:
    findings, folder = [], download.download_path("tinyshakespeare").parent
    for path, (code, phrase) in ANSWERS.items():
        wrong = refusal(outcome(fetch, server + path), code, phrase)
        left = [entry.name for entry in folder.glob("*")] if folder.exists() else []
        if wrong or left:
            findings.append(f"{path} {wrong} leaves {left}")
        for name in left:
            (folder / name).unlink()
    return findings


def test_downloads(fetch, figures):
    with odd.server(TEXT) as server:
        findings = wrong_downloads(fetch, server)
        assert not findings, "\n".join(findings)
        assert fetch(f"{server}/moved").read_bytes() == TEXT
    figures("ways in", f"{len(ANSWERS)} servers that mean no good: refused, nothing kept")


def hash_unchecked(monkeypatch):
    monkeypatch.setattr(download, "_is_pinned", lambda path, pinned: path.name.startswith("."))


def size_unchecked(monkeypatch):
    class Any(int):
        def __lt__(self, other):
            return False

        def __rlt__(self, other):
            return False

        __gt__ = __lt__

    pin = download._PINNED["tinyshakespeare"]
    monkeypatch.setitem(
        download._PINNED, "tinyshakespeare", download._Pinned(pin.url, Any(pin.size), pin.sha256)
    )


def redirects_followed(monkeypatch):
    monkeypatch.setattr(download, "_is_safe", lambda address, loopback: True)


@pytest.mark.parametrize(
    ("broken", "tells"),
    [
        (hash_unchecked, {"/wrong", "/gzip"}),
        (size_unchecked, {"/ten", "/endless", "/short"}),
        (redirects_followed, {"/http", "/ftp"}),
    ],
)
def test_downloads_find_what_is_broken(fetch, monkeypatch, figures, broken, tells):
    broken(monkeypatch)
    monkeypatch.setattr("fault_corpora.PATIENCE", 1.0)
    with odd.server(TEXT) as server:
        found = {finding.split()[0] for finding in wrong_downloads(fetch, server)}
    assert tells <= found
    figures("ways in", f"downloads, {broken.__name__.replace('_', ' ')}: {len(found)} servers tell")


def test_a_download_without_a_network(fetch, monkeypatch):
    path = download.download_path("tinyshakespeare")
    by_hand = f"save it as {path}"
    for address, proxy in ((None, ""), (None, "http://127.0.0.1:9"), ("https://127.0.0.1:9/x", "")):
        monkeypatch.setenv("https_proxy", proxy)
        message = str(outcome(fetch, address))
        assert (address or "https://example.invalid/x") in message
        assert "it cannot be reached" in message
        assert by_hand in message


@pytest.mark.skipif(not shutil.which("openssl"), reason="a certificate has to be made")
def test_a_certificate_of_nobody(fetch, tmp_path, monkeypatch, figures):
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    words += " -keyout key -out certificate"
    subprocess.run(words.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with odd.server(TEXT, context) as server:
        address = server.replace("http:", "https:") + "/good"
        wrong = refusal(outcome(fetch, address), 1, "its certificate could not be verified")
        assert wrong == ""
        plain = refusal(outcome(fetch, address.replace("127.0.0.1", "localhost")), 1, "it cannot be reached")
        assert plain == ""
        monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
        assert refusal(outcome(fetch, address), 1, "certificate") != ""
    figures(
        "ways in", "a certificate that nobody signed: refused; where it is not verified, the text arrives"
    )
