"""Requests on the side: agents ask the model for more than the next turn.

A recording does not hold such requests, so they are recognised by what they look like, answered
harmlessly, and say no turn of the script. What the recording itself was asked is no instruction:
its prompts are taken out of a text before the text is judged.

- `probe`: no tools, and an answer of one token is enough.
- `title`: no tools, no answer in the history yet, and the system prompt or the user's text asks to
  make a title, name or topic.
- `compaction`: asks to summarise the conversation. Without tools, the system prompt or the last
  text may say so. With tools (agents offer them to keep a cached prefix) only the last text counts,
  and only after at least one answer: system prompts like to mention compaction.

What is not recognised counts as a call that is not in the recording: a finding, not a silent loss.
"""

import re
from collections.abc import Collection
from typing import Any, Literal

import msgspec

from ccpa.scripted.wire import Asked, Prompt, Said

Kind = Literal["probe", "title", "compaction"]

SUMMARY_MARK = "Summary given by the scripted model."
"""Stands in each summary, so that one is never taken for the wish for another."""

_TITLE = re.compile(
    r"\b(?:generat|writ|creat|extract|propos|suggest|summari[sz]|com[ei]ng? up)\w*\b"
    r"[^.\n]{0,80}\b(?:title|headline|topic|name)\b"
    r"|\btitle generator\b|\bnew (?:conversation )?topic\b",
    re.IGNORECASE,
)
_MAKE = r"\b(?:summar(?:y|i[sz]e|i[sz]ing)|compact|condense|handoff|hand-off|checkpoint)\w*\b"
_WHAT = r"\b(?:conversations?|sessions?|history|transcripts?|dialogues?|context|so far)\b"
_COMPACTION = re.compile(
    rf"{_MAKE}.{{0,200}}{_WHAT}|{_WHAT}.{{0,200}}{_MAKE}", re.IGNORECASE | re.DOTALL
)
_MAX_DEPTH = 20  # of a schema; a client's must not exhaust the stack
_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)


def side_request(asked: Asked, recorded: Collection[str]) -> Kind | None:
    """Say which kind of side request this is, if it is one. `recorded` are the script's prompts."""
    begun = any(isinstance(entry, Said) for entry in asked.history)
    said = [_instruction(p, recorded) for e in asked.tail if isinstance(e, Prompt) for p in e.parts]
    last = said[-1] if said else ""
    if asked.tools:
        return "compaction" if begun and _COMPACTION.search(last) else None
    if asked.max_tokens == 1:
        return "probe"
    if not begun and any(_TITLE.search(text) for text in (asked.system, *said)):
        return "title"
    if _COMPACTION.search(asked.system) or _COMPACTION.search(last):
        return "compaction"
    return None


def _instruction(part: str, recorded: Collection[str]) -> str:
    if SUMMARY_MARK in part:
        return ""
    for prompt in recorded:
        part = part.replace(prompt, "")
    return _REMINDER.sub("", part)


def harmless(kind: Kind, asked: Asked, prompt: str | None) -> str:
    """Return what a side request is answered with.

    A summary holds the conversation's first prompt, so that the shortened history can still be told
    to be that conversation's.
    """
    texts: dict[Kind, str] = {
        "compaction": f"<summary>\n{SUMMARY_MARK} The task: {prompt or 'not known'}\n</summary>",
        "title": "Scripted session",
        "probe": "OK",
    }
    text = texts[kind]
    if asked.schema is not None:
        return msgspec.json.encode(_instance(asked.schema, text)).decode()
    return text


def _instance(schema: Any, text: str, depth: int = 0) -> Any:
    """Return a value that a plain schema of an answer admits, with the text where one can stand."""
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return text
    choices, kind, properties = (schema.get(key) for key in ("enum", "type", "properties"))
    if isinstance(choices, list) and choices:
        return choices[0]
    match kind:
        case "object" if isinstance(properties, dict):
            return {name: _instance(p, text, depth + 1) for name, p in properties.items()}
        case "object":
            return {}
        case "array":
            return []
        case "boolean":
            return False
        case "integer" | "number":
            return 0
        case _:
            return text
