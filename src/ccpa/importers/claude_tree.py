"""Which lines of a Claude Code transcript are the session: its lines are a tree, not a list.

Edits and retries branch, so the session is what leads from the last line back to a root. Tool uses
of one message run side by side, each result hanging on its own tool use: such results lie beside
that path and belong to it all the same.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from ccpa.importers.claude_messages import blocks, tool_results
from ccpa.importers.notes import Notes
from ccpa.importers.values import JsonObject, obj, text
from ccpa.trace import ToolUseBlock


class Agent(Struct):
    """The lines of one subagent, and what is known of the tool use that started it."""

    agent_id: str | None
    lines: list[JsonObject]
    tool_use_id: str | None = None


def split(lines: Iterable[JsonObject], notes: Notes) -> tuple[list[JsonObject], list[Agent]]:
    """Part the main conversation from the sidechains that older versions keep in the same file.

    A line that repeats another one's `uuid` is left out.
    """
    main: list[JsonObject] = []
    agents: dict[str, Agent] = {}
    roots: dict[str, str] = {}
    seen: set[str] = set()
    for line in lines:
        name = text(line.get("uuid"))
        if name is not None and name in seen:
            notes.skip("line with the uuid of another one")
            continue
        if name is not None:
            seen.add(name)
        if line.get("isSidechain") is not True:
            main.append(line)
            continue
        agent_id = text(line.get("agentId"))
        parent = text(line.get("parentUuid"))
        root = agent_id or roots.get(parent or "") or name or ""
        if name is not None:
            roots[name] = root
        agents.setdefault(root, Agent(agent_id, [])).lines.append(line)
    return main, list(agents.values())


def path_to_last(lines: list[JsonObject], notes: Notes) -> list[JsonObject]:
    """Return the lines of the branch that the last line is on, in the order of the file.

    Where a parent is not in the file, the line before takes its place. Lines without a `uuid` are
    in no tree; they belong to the session. Where no line has a parent, there is no tree at all.
    """
    if not any(text(line.get("parentUuid")) for line in lines):
        return lines
    place = {name: at for at, line in enumerate(lines) if (name := text(line.get("uuid")))}
    chosen: set[int] = set()
    at: int | None = max(place.values(), default=None)
    while at is not None:
        if at in chosen:
            notes.skip("circle of parents")
            break
        chosen.add(at)
        at = _parent(lines, place, at, notes)
    chosen |= {at for at, line in enumerate(lines) if text(line.get("uuid")) is None}
    chosen |= _beside(lines, chosen)
    for at, line in enumerate(lines):
        if at not in chosen and line.get("type") in ("user", "assistant"):
            notes.skip("line of an abandoned branch")
    return [lines[at] for at in sorted(chosen)]


def _parent(lines: list[JsonObject], place: dict[str, int], at: int, notes: Notes) -> int | None:
    line = lines[at]
    parent = text(line.get("parentUuid")) or text(line.get("logicalParentUuid"))
    if parent in place:
        return place[parent]
    if parent is None and line.get("subtype") != "compact_boundary":
        return None
    notes.mark("line whose parent is missing")
    before = (one for one in range(at - 1, -1, -1) if text(lines[one].get("uuid")))
    return next(before, None)


def _beside(lines: list[JsonObject], chosen: set[int]) -> set[int]:
    """Find the other lines of the chosen messages, and the results and hooks of their tool uses."""
    quiet = Notes()
    names = {_message_id(lines[at]) for at in chosen} - {None}
    found = {at for at, line in enumerate(lines) if _message_id(line) in names}
    uses = {
        block.id
        for at in chosen | found
        if lines[at].get("type") == "assistant"
        for block in blocks(obj(lines[at].get("message")).get("content"), quiet)
        if isinstance(block, ToolUseBlock)
    }
    unanswered = uses - {use for at in chosen for use in _answers(lines[at])}
    for at, line in enumerate(lines):
        of_use = obj(line.get("attachment")).get("toolUseID")
        if (isinstance(of_use, str) and of_use in uses) or _answers(line) & unanswered:
            found.add(at)
    return found


def _message_id(line: JsonObject) -> str | None:
    is_answer = line.get("type") == "assistant"
    return text(obj(line.get("message")).get("id")) if is_answer else None


def _answers(line: JsonObject) -> set[str]:
    content: Any = obj(line.get("message")).get("content") if line.get("type") == "user" else None
    return {block["tool_use_id"] for block in tool_results(content)}
