"""Fetching a named corpus: one pinned text from its public source, over HTTPS, checked before it is used."""

import hashlib
import http.client
import os
import secrets
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rnn_tui.corpus.snapshot import Progress
from rnn_tui.corpus.sources import DOWNLOADS, download_path, named_corpora
from rnn_tui.errors import InputError, RnnTuiError, UsageError, nearest
from rnn_tui.files import disk_error, fsync_directory, write_durable

_BLOCK = 1 << 16
_TIMEOUT = 30.0  # seconds without a byte
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True)
class _Pinned:
    url: str
    size: int
    sha256: str


_PINNED = {
    "timemachine": _Pinned(
        "https://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
        178_979,
        "8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516",
    ),
    "tinyshakespeare": _Pinned(
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        1_115_394,
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
}


def get(name: str, *, url: str | None = None, progress: Progress | None = None) -> Path:
    """Fetch the corpus `name` unless it is there already, and return its file.

    Args:
        name: One of `DOWNLOADS`.
        url: Another place to take the same bytes from; plain http is allowed to this machine only.
        progress: Told "reading" and the bytes.

    Raises:
        UsageError: for a name that cannot be fetched or an address that is not HTTPS.
        InputError: when what arrived is not the pinned text.
        RnnTuiError: when the network fails, with the address and how to do it by hand.
        DiskError: when it cannot be written.
    """
    if name not in _PINNED:
        if name in (corpus.name for corpus in named_corpora()):
            raise UsageError(f"the corpus {name} is built in and needs no download; use it by its name")
        raise UsageError(f"no corpus {name!r} to download{nearest(name, DOWNLOADS)}: {', '.join(DOWNLOADS)}")
    pinned = _PINNED[name]
    address = url or pinned.url
    loopback = url is not None and urllib.parse.urlsplit(url).hostname in _LOOPBACK
    if not _is_safe(address, loopback):
        raise UsageError(
            f"{address}: a corpus is fetched over https only; give an address that starts with https://"
        )
    target = download_path(name)
    if _is_pinned(target, pinned):
        return target
    by_hand = f"or fetch it by hand and save it as {target}"
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with closing(_body(address, loopback, pinned, by_hand, progress)) as body:
            write_durable(part, body)
        if not _is_pinned(part, pinned):
            raise InputError(
                f"{address}: what arrived is not the text that was pinned (its SHA-256 differs); nothing was "
                f"kept: try again, {by_hand}"
            )
        os.rename(part, target)
        fsync_directory(target.parent)
    except OSError as error:
        raise disk_error(error, f"could not write {target}") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _body(
    address: str, loopback: bool, pinned: _Pinned, by_hand: str, progress: Progress | None
) -> Generator[bytes, None, None]:
    """Yield the bytes behind `address`, no more than are pinned.

    Every failure of the network becomes an error of ours here, so that an OSError further up is the disk's.
    """
    handlers: list[urllib.request.BaseHandler] = [_SafeRedirects(loopback)]
    if loopback:
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(
        address, headers={"Accept-Encoding": "identity", "User-Agent": "rnn-tui"}
    )
    done = 0
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=_TIMEOUT) as response:
            while block := response.read(_BLOCK):
                done += len(block)
                if done > pinned.size:
                    raise InputError(
                        f"{address}: larger than the {pinned.size:,} bytes that were pinned; nothing was kept: "
                        f"try again, {by_hand}"
                    )
                if progress is not None:
                    progress("reading", done, pinned.size)
                yield block
    except (OSError, http.client.HTTPException) as error:
        raise RnnTuiError(f"{address}: {_reason(error)}; try again, {by_hand}") from None
    if done < pinned.size:
        raise RnnTuiError(
            f"{address}: the connection ended after {done:,} of {pinned.size:,} bytes; try again, {by_hand}"
        )


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to HTTPS only."""

    def __init__(self, loopback: bool) -> None:
        self._loopback = loopback

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not _is_safe(newurl, self._loopback):
            fp.close()
            raise InputError(
                f"{req.full_url}: redirects to {newurl}, which is not https; nothing was fetched"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_safe(address: str, loopback: bool) -> bool:
    parts = urllib.parse.urlsplit(address)
    return parts.scheme == "https" or (loopback and parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _is_pinned(path: Path, pinned: _Pinned) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == pinned.sha256
    except FileNotFoundError:
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"the server answered {error.code} {http.client.responses.get(error.code, '')}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate could not be verified ({cause.verify_message})"
    if isinstance(cause, TimeoutError):
        return f"no answer within {_TIMEOUT:.0f} s"
    said = " ".join(str(cause).split())[:200]  # a server may have written it
    return f"it cannot be reached ({said}); is this machine online?"
