"""A stored session in other forms: as one trace, as Markdown. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from apr.sessions.stored import Stored
from apr.ui.terminal import line, plain
from apr.ui.text import summary as call_in_a_line
from ccpa.trace import (
    AssistantTurn,
    Compaction,
    Record,
    SessionEnd,
    SessionStart,
    TextBlock,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
)


def exported(stored: Stored) -> Iterator[Record]:
    """Yield the session as one trace: one start, all that happened, and the last end.

    A session that was taken up again has a start and an end for each time; a trace has one.
    """
    ends = [record for record in stored.records if isinstance(record, SessionEnd)]
    started = False
    for record in stored.records:
        if isinstance(record, SessionStart):
            if not started:
                yield record
            started = True
        elif not isinstance(record, SessionEnd):
            yield record
    if ends:
        spent = [(end.tokens_in or 0, end.tokens_out or 0, end.elapsed_ms or 0) for end in ends]
        yield msgspec.structs.replace(
            ends[-1],
            tokens_in=sum(one[0] for one in spent),
            tokens_out=sum(one[1] for one in spent),
            elapsed_ms=sum(one[2] for one in spent),
        )


def markdown(stored: Stored) -> Iterator[str]:
    """Yield the conversation as blocks of Markdown: prompts, answers, calls with their results.

    Control characters are made visible, so that nothing in it drives a terminal. What subagents
    said to themselves is left out.
    """
    opened = stored.opened
    yield f"# {line(stored.name or stored.first_prompt.partition(chr(10))[0] or stored.id)}"
    yield f"Session `{line(stored.id)}` in `{line(opened.cwd)}`, with {line(opened.model)}."
    for record in stored.records:
        if getattr(record, "parent_tool_use_id", None) is None:
            yield from _blocks(record)


def _blocks(record: Record) -> Iterator[str]:
    match record:
        case UserPrompt(text=text):
            yield "## You"
            yield plain(text)
        case AssistantTurn(blocks=blocks):
            for block in blocks:
                if isinstance(block, ToolUseBlock):
                    yield f"**●** {_code(line(call_in_a_line(block)))}"
                    yield _input(block.input)
                elif isinstance(block, TextBlock) and block.text.strip():
                    yield "## The agent"
                    yield plain(block.text.strip())
        case ToolResult(ok=ok, content=content):
            yield "Result:" if ok else "**✗** Failed:"
            yield fenced(content)
        case Compaction(tokens_before=before, tokens_after=after):
            yield f"*The conversation was summed up here: {before:,} → {after:,} tokens.*"
        case _:
            pass


def _input(given: Mapping[str, Any]) -> str:
    """Return what a tool was called with, as people read it: a command, a text, a difference."""
    for key in ("command", "content", "prompt"):
        if isinstance(text := given.get(key), str):
            return fenced(text)
    old, new = given.get("old_string"), given.get("new_string")
    if isinstance(old, str) and isinstance(new, str):
        lines = [f"-{one}" for one in old.splitlines()] + [f"+{one}" for one in new.splitlines()]
        return fenced("\n".join(lines), "diff")
    return fenced(msgspec.json.format(msgspec.json.encode(given)).decode(), "json")


def fenced(text: str, language: str = "") -> str:
    """Return a text as a code block, whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{plain(text).rstrip()}\n{fence}"


def _code(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    mark = "`" * (longest + 1)
    return f"{mark} {text} {mark}" if longest else f"`{text}`"
