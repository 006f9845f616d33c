"""How values on the command line are read; options that several commands have."""

import argparse
import contextlib
import math
import re

from apr.settings import SOURCES

_UNITS = {"s": 1, "m": 60, "h": 3600}


def positive(text: str) -> int:
    """Read a whole number above zero."""
    with contextlib.suppress(ValueError):
        if (number := int(text)) > 0:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")


def natural(text: str) -> int:
    """Read a whole number of zero or more."""
    with contextlib.suppress(ValueError):
        if (number := int(text)) >= 0:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of zero or more")


def share(text: str) -> float:
    """Read a part of a whole: above 0, up to 1."""
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) <= 1:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and up to 1")


def temperature(text: str) -> float:
    """Read a sampling temperature: 0 is greedy."""
    with contextlib.suppress(ValueError):
        if 0 <= (number := float(text)) <= 10:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a temperature (0 to 10)")


def session_id(text: str) -> str:
    """Read a UUID, as it is written with hyphens."""
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text.lower()):
        return text.lower()
    raise argparse.ArgumentTypeError(f"{text!r} is not a UUID")


def setting_sources(text: str) -> tuple[str, ...]:
    """Read the value of `--setting-sources`: names with commas between them."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    wrong = [name for name in names if name not in SOURCES]
    if wrong:
        raise argparse.ArgumentTypeError(f"{wrong[0]} is none of {', '.join(SOURCES)}")
    return names


def duration(text: str) -> float | None:
    """Read `90s`, `10m`, `1h` or a bare number as seconds; `never` is None."""
    if text == "never":
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    with contextlib.suppress(ValueError):
        seconds = float(number) * _UNITS[unit]
        if seconds >= 0 and math.isfinite(seconds):
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90s, 10m, 1h or never")


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Declare how the engine of a local model is loaded, and how long it stays."""
    add = parser.add_argument
    add("--ctx", metavar="N", type=positive, help="tokens of context that a conversation has")
    add(
        "--keep-alive",
        metavar="TIME",
        type=duration,
        default="10m",
        help="how long an idle engine stays: 90s, 10m (default), 1h, never",
    )
