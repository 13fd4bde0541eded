"""TOML from anywhere, read in bounded time, with a reason that a person understands where it is none."""

import tomllib
from typing import Any

_DOTS = 1000
"""In a line. The time of a dotted key grows with the square of its parts: 50,000, which fit into 100 KB, took 9 s."""


def parse_toml(data: bytes) -> dict[str, Any]:
    """Parse the content of a file, with or without a byte order mark.

    Raises:
        ValueError: when it is no TOML.
    """
    text = data.decode("utf-8-sig")
    if any(line.count(".") > _DOTS for line in text.split("\n")):
        raise ValueError(f"a line has more than {_DOTS:,} dots")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python's limit for the digits of a whole number
        raise ValueError("a number has too many digits") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
