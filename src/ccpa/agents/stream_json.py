"""Driving an agent over `--input-format stream-json`, as the public Agent SDKs drive Claude Code.

Prompts go in as lines, the next when the result of the one before has come; with
`--permission-prompt-tool stdio` the agent asks for consent in control requests, which the person of
the recording answers. docs/headless.md has the lines.
"""

import json
from typing import Any

from ccpa.person import Allowed, Person


class Dialogue:
    """Says the prompts of a task, and what its person says."""

    def __init__(self, prompts: tuple[str, ...], person: Person | None) -> None:
        self._left = list(prompts)
        self._person = person

    def first(self) -> bytes:
        """Say the first prompt."""
        return self._next() or b""

    def heard(self, line: bytes) -> bytes | None:
        """Answer a request; after a result say the next prompt, or nothing ever more."""
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            return b""
        match told:
            case {"type": "result"}:
                return self._next()
            case {"type": "control_request", "request_id": number, "request": dict() as request}:
                return _answer(number, self._consent(request))
        return b""

    def _next(self) -> bytes | None:
        if not self._left:
            return None
        message = {"role": "user", "content": self._left.pop(0)}
        return _line({"type": "user", "message": message, "parent_tool_use_id": None})

    def _consent(self, request: dict[str, Any]) -> dict[str, Any] | None:
        if request.get("subtype") != "can_use_tool" or self._person is None:
            return None
        given = request.get("input")
        given = given if isinstance(given, dict) else {}
        reply = self._person.reply(str(request.get("tool_use_id")))
        if not isinstance(reply, Allowed):
            return {"behavior": "deny", "message": reply.words}
        updated = {**given, "answers": dict(reply.answers)} if reply.answers else given
        return {"behavior": "allow", "updatedInput": updated}


def options(prompts: tuple[str, ...], person: Person | None) -> tuple[list[str], Dialogue | None]:
    """Return the options that such an agent needs, and the other side of the conversation.

    A single prompt with nobody to ask goes on the command line; then there is no conversation.
    """
    if len(prompts) == 1 and person is None:
        return [], None
    words = ["--input-format", "stream-json"]
    if person is not None:
        words += ["--permission-prompt-tool", "stdio"]
    return words, Dialogue(prompts, person)


def _answer(number: Any, response: dict[str, Any] | None) -> bytes:
    known = {"subtype": "success", "request_id": number, "response": response}
    unknown = {"subtype": "error", "request_id": number, "error": "nobody here answers this"}
    return _line({"type": "control_response", "response": unknown if response is None else known})


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
