"""Imported sessions as a corpus: one folder a session, which `ccpa corpus --students` reads."""

import json
import re
from pathlib import Path

from ccpa import trace
from ccpa.layout import LEGACY_FILE, TEACHER_TRACE
from ccpa.trace import (
    AssistantTurn,
    Compaction,
    HookEvent,
    Record,
    SkillInvocation,
    ToolResult,
    ToolUseBlock,
)

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NAME = 100
_FEATURES: dict[type, str] = {
    Compaction: "compaction",
    HookEvent: "hooks",
    SkillInvocation: "skills",
}


def unused_name(wanted: str, taken: set[str]) -> str:
    """Return a name for a file or folder that no other session has, and enter it in `taken`."""
    name = base = _UNSAFE.sub("-", wanted)[:_NAME].strip(".-") or "session"
    number = 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name


def encoded(records: list[Record]) -> bytes:
    """Return the records as a trace file's bytes."""
    return b"".join(map(trace.encode, records))


def write_fixture(directory: Path, records: list[Record], description: str) -> None:
    """Write a session as a fixture: its trace as the teacher's, and what it is about.

    Raises:
        OSError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / TEACHER_TRACE).write_bytes(encoded(records))
    covers = ", ".join(map(_toml, _covers(records)))
    about = (
        "[fixture]\n"
        f"id = {_toml(directory.name)}\n"
        f"covers = [{covers}]\n"
        f"description = {_toml(description)}\n"
    )
    (directory / LEGACY_FILE).write_bytes(about.encode())


def _covers(records: list[Record]) -> list[str]:
    """Return what a session shows: tools by name, and other features."""
    found: set[str] = set()
    for record in records:
        if type(record) in _FEATURES:
            found.add(_FEATURES[type(record)])
        elif isinstance(record, ToolResult) and record.denied_by is not None:
            found.add("denials")
        elif isinstance(record, AssistantTurn):
            found.update(block.name for block in record.blocks if isinstance(block, ToolUseBlock))
            if record.parent_tool_use_id is not None:
                found.add("subagents")
    return sorted(found)


def _toml(text: str) -> str:
    r"""Return a TOML string: JSON's, but for surrogate pairs, and DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
