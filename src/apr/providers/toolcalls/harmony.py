r"""The messages that gpt-oss writes.

    <|channel|>analysis<|message|>REASONING<|end|>
    <|start|>assistant<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{...}
    <|call|>
    <|start|>assistant<|channel|>final<|message|>ANSWER<|return|>

Whom a message is for stands before or behind the channel. A message to a function is a call,
whatever its channel; what is on the channel "analysis" otherwise is reasoning.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

LONGEST = 300
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_RECIPIENT = re.compile(r"\bto=([\w.:\-]+)")
_CHANNELS = frozenset({"analysis", "commentary", "final"})
_PEOPLE = frozenset({"user", "assistant", "all"})


def render(name: str, arguments: Mapping[str, Any]) -> str:
    """Return the call as the model would write it."""
    body = msgspec.json.encode(dict(arguments)).decode()
    return f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{body}<|call|>"


class Header:
    """The header of a message, with the marks round it in `text`."""

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def too_long(self) -> bool:
        """Whether this cannot be a header any more."""
        return len(self.text) > LONGEST

    @property
    def channel(self) -> str | None:
        """Which channel the message is on."""
        match = _CHANNEL.search(self.text)
        return match[1] if match else None

    @property
    def recipient(self) -> str | None:
        """The function that the message is for; None if it is for people."""
        match = _RECIPIENT.search(self.text)
        return match[1] if match and match[1] not in _PEOPLE else None

    @property
    def sound(self) -> bool:
        """Whether the header is one that the format knows."""
        return self.channel in _CHANNELS or self.recipient is not None
