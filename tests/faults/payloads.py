"""Forty texts that try to drive a terminal or an app, and what of them may never reach one."""

import re
import unicodedata

ESC, CSI, BEL, ST = "\x1b", "\x1b[", "\x07", "\x1b\\"
CLIPBOARD = "bWFyaw=="
"""What the payloads try to put into the clipboard, in base64: mark."""

PAYLOADS = {
    # sequences that a terminal obeys
    "clear": f"{CSI}2J{CSI}Hmark",
    "clear history": f"{CSI}3Jmark",
    "colours": f"{CSI}38;2;1;2;250mmark",
    "alternate screen": f"{CSI}?1049lmark",
    "mouse": f"{CSI}?1003lmark",
    "cursor": f"{CSI}?25h{CSI}9999;9999Hmark",
    "report": f"{CSI}6n{CSI}c{ESC}Zmark",
    "reset": f"{ESC}cmark",
    "title": f"{ESC}]0;mark{BEL}",
    "title ST": f"{ESC}]2;mark{ST}",
    "clipboard": f"{ESC}]52;c;{CLIPBOARD}{BEL}",
    "clipboard ST": f"{ESC}]52;c;{CLIPBOARD}{ST}",
    "clipboard C1": f"\x9d52;c;{CLIPBOARD}\x9c",
    "clipboard in tmux": f"{ESC}Ptmux;{ESC}{ESC}]52;c;{CLIPBOARD}{BEL}{ST}",
    "link": f"{ESC}]8;;http://mark{ST}link{ESC}]8;;{ST}",
    "colour table": f"{ESC}]4;1;?{BEL}mark",
    "sixel": f"{ESC}Pq#0;2;0;0;0mark{ST}",
    "APC": f"{ESC}_Gmark{ST}",
    "PM and SOS": f"{ESC}^mark{ST}{ESC}Xmark{ST}",
    "C1": "\x9b2J\x90mark\x9c\x85\x84\x8d\x8e",
    "unfinished": f"mark{ESC}",
    "unfinished CSI": f"mark{CSI}38;5",
    "unfinished OSC": f"mark{ESC}]52;c;",
    # single characters
    "C0": "mark"
    + "".join(map(chr, range(1, 9)))
    + "\x0b\x0c"
    + "".join(map(chr, range(0x0E, 0x20)))
    + "\x7f",
    "NUL": "mark\0mark",
    "overwriting": "mark\b\b\b\bevil\rmark",
    "line ends": "mark\r\nmark\nmark\u2028mark\u2029mark\x85mark\x0bmark",
    "tabs": "\tmark\t\t\tmark",
    "surrogates": "mark\ud83d\udcff\udc80",
    "bidi": "\u202emark\u202c\u2066mark\u2069\u061c\u200f\u200e",
    "BOM": "\ufeffmark\ufeff\ufffe\uffff\ufff9mark\ufffa\ufffb",
    # floods
    "combining": "mark e" + "\u0301" * 600,
    "stacked": "mark " + "".join(letter + "\u0e49\u0334\u20dd" * 80 for letter in "kram"),
    "zero width": "mark" + "\u200b\u200d\u2060\ufeff" * 200 + "mark",
    "selectors and tags": "mark" + "\ufe0f\U000e0100\U000e0041" * 300,
    "fillers": "mark" + "\u3164\u115f\uffa0\u00ad" * 200,
    "long line": "mark" + "x" * 200_000,
    # markup
    "markup": "[/] [/mark] [b]mark[/i] [link=http://x]mark [mark",
    "action": "[@click=app.quit]mark[/] [@click='app.bell']mark",
    "looks": "mark 👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 é שלום 深圳 \u00a0\u3000",
}

ARGUMENTS = [
    "x" * 300, "x/" * 3000, "~nobody-here/x", "/proc/1/mem", "/root/../etc/passwd", "/dev/zero", ".", "..", "/", "~",
    "mark",
    "--5", "-", "9" * 5000, "٣", "²", "1e400", "-1e308", "1e308", "nan", "inf", "0", "x:" + "9" * 5000,
    "plain-1@" + "9" * 5000,
    "plain-1@1,0", "plain-1@", "@", "(" * 3000, "a{99999999999999999999}", "(a+)+$", "[[a]", "(?P<x>", "\\", "*", "+x",
    "loss<" + "9" * 400, "loss<1e999", "-" * 50, "tag:", "step>=.", "epoch=1e5e5", "a, b,, ,", '"', "'",
    "$(id)", "`id`",
    "{", "{0}", "%s", "[b]", "\t", "\n\n", "", " ", "/model x", "//", "/batch 0", "/undo 1 1", "m.safetensors",
]  # fmt: skip
"""What is typed where a name, a path, a number or an expression is asked for."""

FLOOD = 8
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0")
_BIDI = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def misshown(text, newlines=False):
    """Return what of a text that was shown may not be there, in words; nothing if all is well.

    Written without a look at `safe_text`: by Unicode's own properties.
    """
    wrong = []
    for character in set(text) - ({"\n"} if newlines else set()):
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            wrong.append(f"control character {character!r}")
        elif unicodedata.bidirectional(character) in _BIDI or character in "\u061c\u200e\u200f":
            wrong.append(f"bidi control {character!r}")
        elif character in "\ufeff\ufff9\ufffa\ufffb\u2060\ufffe\uffff":
            wrong.append(f"format character {character!r}")
    run = 0
    for character in text:
        run = (
            run + 1 if unicodedata.category(character) in ("Mn", "Me", "Cf") or character in _INVISIBLE else 0
        )
        if run == FLOOD + 1:
            wrong.append("a flood of marks without width")
    return wrong


_OURS = re.compile(
    rb"\x1b\[[0-9;:]*[mH]"  # colours and cursor moves of what is painted
    rb"|\x1b\[\?(?:1000|1003|1004|1006|1015|1016|1049|2004|2026|2048|25|7)[hl]|\x1b\[\?(?:2026|2048)\$p"
    rb"|\x1b\[>[0-9]*u|\x1b\[<u|\x1b\[[0-9]*[AK]|\x1b\]22;[a-z-]*\x07"
)
"""Every sequence that the app, or a bar of the command line, has a use for; AK: a bar that is drawn anew, the last: the
pointer's shape."""


def misprinted(raw, ended=False):
    """Return what of the bytes that a terminal got neither Textual nor rich nor we have put there.

    Args:
        ended: The program has given the terminal back, so that switching off is no payload's doing.
    """
    wrong = [
        f"a sequence of a payload: {m!r}"
        for m in (b"\x1b[38;2;1;2;250", CLIPBOARD.encode() + b"\x07")
        if m in raw
    ]
    rest = _OURS.sub(b"", raw)
    if not ended and raw.count(b"\x1b[?1049l"):
        wrong.append("the alternate screen was left")
    wrong += [f"{rest[m.start() : m.start() + 24]!r}" for m in re.finditer(rb"\x1b", rest)]
    wrong += [f"C1 {m!r}" for m in set(re.findall(rb"\xc2[\x80-\x9f]", rest))]
    wrong += [f"{m!r}" for m in set(re.findall(rb"[\x00-\x07\x08\x09\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]", rest))]
    wrong += misshown(rest.decode(errors="ignore").replace("\x1b", "").replace("\r", ""), newlines=True)
    return wrong


def as_name(text):
    """Return the payload as a name that a file can have: without slash and NUL, at most 120 bytes."""
    named = (
        text.replace("/", "|").replace("\0", "")[:60].encode("utf-8", "replace")[:120].decode(errors="ignore")
    )
    return named if named.strip(". ") else "mark"
