"""Subagents of a Claude Code session: where their lines are, and what started each."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

from ccpa.importers import claude_messages
from ccpa.importers.claude_tree import Agent
from ccpa.importers.notes import Notes
from ccpa.importers.reading import json_lines, parsed
from ccpa.importers.values import JsonObject, obj, text
from ccpa.trace import ToolUseBlock

_SUBAGENT_TOOLS = frozenset({"Agent", "Task"})


def agent_files(path: Path, session: str | None, notes: Notes) -> list[Agent]:
    """Read the subagents' transcripts: in a directory named after the session, or beside it."""
    below = (path.parent / path.stem / "subagents").glob("**/agent-*.jsonl")
    beside = (one for one in path.parent.glob("agent-*.jsonl") if one != path)
    found = []
    for file in [*sorted(below), *sorted(beside)]:
        with file.open("rb") as stream:
            lines: Iterator[JsonObject] = json_lines(stream, notes)
            if file.parent == path.parent:  # the agents of all sessions of a project lie there
                first = next(lines, {})
                if text(first.get("sessionId")) != session:
                    continue
                lines = itertools.chain([first], lines)
            agent_id = file.stem.removeprefix("agent-")
            found.append(Agent(agent_id, list(lines), _started_by(file)))
    return found


def _started_by(file: Path) -> str | None:
    """Return the tool use that the file beside a subagent's names, where there is one."""
    with contextlib.suppress(FileNotFoundError):
        meta = parsed(file.with_suffix(".meta.json").read_bytes())
        return text(obj(meta).get("toolUseId"))
    return None


def linked(agents: list[Agent], main: list[JsonObject], notes: Notes) -> dict[str, list[Agent]]:
    """Find the tool use that started each subagent.

    It stands in the subagent's meta file, or the tool's result or progress names the subagent, or
    the tool was given the very prompt that the subagent's first line holds.
    """
    every = [*main, *(line for agent in agents for line in agent.lines)]
    by_agent: dict[str, str] = {}
    by_prompt: dict[str, list[str]] = {}
    for line in every:
        facts, data = obj(line.get("toolUseResult")), obj(line.get("data"))
        content = obj(line.get("message")).get("content")
        uses = [one["tool_use_id"] for one in claude_messages.tool_results(content)]
        use = uses[0] if uses else text(line.get("parentToolUseID"))
        agent_id = text(facts.get("agentId")) or text(data.get("agentId"))
        if agent_id and use:
            by_agent.setdefault(agent_id, use)
        for start in _starts(line):
            by_prompt.setdefault(str(start.input.get("prompt")), []).append(start.id)
    started: dict[str, list[Agent]] = {}
    for agent in agents:
        use = agent.tool_use_id or by_agent.get(agent.agent_id or "")
        if use is None:
            same = by_prompt.get(_first_prompt(agent.lines) or "", [])
            use = next((one for one in same if one not in started), None)
        if use is None:
            notes.skip("subagent that no tool use is known to have started")
        else:
            started.setdefault(use, []).append(agent)
    return started


def _starts(line: JsonObject) -> list[ToolUseBlock]:
    """Return the tool uses of a line that start subagents."""
    if line.get("type") != "assistant":
        return []
    blocks = claude_messages.blocks(obj(line.get("message")).get("content"), Notes())
    uses = [block for block in blocks if isinstance(block, ToolUseBlock)]
    return [use for use in uses if use.name in _SUBAGENT_TOOLS]


def _first_prompt(lines: list[JsonObject]) -> str | None:
    for line in lines:
        if line.get("type") == "user":
            return claude_messages.said(obj(line.get("message")).get("content"))
    return None
