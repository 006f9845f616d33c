"""The ids of tool uses."""

import os
import zlib

from apr.providers.base import AssistantMessage, Request, UserMessage
from ccpa.trace import ToolUseBlock


class ToolUseIds:
    """Gives tool uses their ids: the server's where it has good ones, else ids made here.

    Those are unique in a session and the same when it is repeated: a digest of the conversation's
    first prompt, and a number that rises with every call of the session.
    """

    def __init__(self) -> None:
        self._used: set[str] = set()

    def take(self, request: Request, given: str) -> str:
        """Return the id for the next tool use that answers `request`."""
        for message in request.messages:
            if isinstance(message, AssistantMessage):
                self._used.update(b.id for b in message.blocks if isinstance(b, ToolUseBlock))
        candidate = given
        if not candidate or candidate in self._used:
            prompt = next((m.text for m in request.messages if isinstance(m, UserMessage)), "")
            digest = zlib.crc32(prompt.encode("utf-8", "surrogatepass"))
            number = len(self._used) + 1
            while (candidate := f"toolu_{digest:08x}{number:04d}") in self._used:
                number += 1
        self._used.add(candidate)
        return candidate


class FreshIds(ToolUseIds):
    """Ids for many conversations, none of which is remembered: drawn, where the server has none."""

    def take(self, request: Request, given: str) -> str:
        """Return the id for the next tool use that answers `request`."""
        return given or f"toolu_{os.urandom(12).hex()}"
