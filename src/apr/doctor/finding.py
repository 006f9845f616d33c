"""What a check came to."""

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One line: what was looked at, how it is, what was found, and what to do about it."""

    about: str
    state: Literal["ok", "note", "broken"]
    """A note is worth knowing; broken is what does not work as it is configured."""
    says: str
    do: str = ""
