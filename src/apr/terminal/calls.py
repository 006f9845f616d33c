"""A tool use in a line, and what it came to in a few words more."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from apr.terminal.cells import cut, isolated, untabbed
from apr.terminal.ink import Line
from apr.ui.terminal import line as one_line
from apr.ui.terminal import plain
from ccpa.trace import ToolResult, ToolUseBlock

OUTPUT_LINES = 4
"""Lines of output that are shown of a command without being asked for."""
_LONGEST = 400
"""Characters of a line of output that are shown so."""

# The input that says most about a call, by the field's name.
_TELLING = (
    "file_path",
    "notebook_path",
    "pattern",
    "command",
    "description",
    "url",
    "query",
    "skill",
    "subject",
    "bash_id",
    "shell_id",
    "task_id",
    "path",
)
_NUMBERED = re.compile(r"^\s*\d+\t", re.MULTILINE)
_WRAPPER = re.compile(r"</?tool_use_error>")
_MARKS = {"completed": "☑", "in_progress": "◐", "pending": "☐"}
_SAYS_ENOUGH = frozenset({"Edit", "Write", "NotebookEdit", "TodoWrite"})
_SHOWS_OUTPUT = frozenset({"Bash", "BashOutput", "Monitor"})


def title(name: str) -> str:
    """Return what people call a tool: an MCP server's by its server."""
    if name.startswith("mcp__") and "__" in name[5:]:
        server, _, tool = name[5:].partition("__")
        return one_line(f"{server} · {tool} (MCP)")
    return one_line(name)


def headline(call: ToolUseBlock, room: int) -> Line:
    """Return a call on one line that fits: its tool, and the input that says most."""
    name = title(call.name)
    said = isolated(cut(one_line(_telling(call)), max(room - len(name) - 3, 8)))
    return [("ansicyan", "● "), ("bold", cut(name, room - 2)), ("", f" {said}" if said else "")]


def _telling(call: ToolUseBlock) -> str:
    given = call.input
    if call.name == "TodoWrite":
        return ""
    if call.name == "Agent":
        return f"{given.get('subagent_type', 'general-purpose')}: {given.get('description', '')}"
    found = next((given[name] for name in _TELLING if isinstance(given.get(name), str)), None)
    if found is None:
        return _as_json(given) if given else ""
    first, _, more = found.strip().partition("\n")
    told = f"{first} …" if more.strip() else first
    if call.name == "Grep" and isinstance(given.get("path"), str):
        told += f" in {given['path']}"
    return told


def outcome(call: ToolUseBlock, result: ToolResult) -> str:
    """Return in a few words what a call came to; of a failure, the first line of what it says."""
    content = result.content.strip()
    effects = result.side_effects
    told: str
    if result.denied_by is not None:
        told = _first(content)
    elif effects is not None and effects.exit_code:
        told = f"exit code {effects.exit_code}"
    elif not result.ok:
        told = _first(_WRAPPER.sub("", content))
    else:
        told = _OUTCOMES.get(call.name, _plainly)(call, content)
    if result.duration_ms is not None and result.duration_ms >= 1000:
        told = " · ".join(filter(None, (told, f"{result.duration_ms / 1000:.1f} s")))
    return told


def _plainly(_call: ToolUseBlock, content: str) -> str:
    lines = content.count("\n") + 1
    return _first(content) if lines == 1 else f"{lines:,} lines"


def _read(_call: ToolUseBlock, content: str) -> str:
    count = len(_NUMBERED.findall(content))
    return _counted(count, "line") if count else _first(content)


def _found(call: ToolUseBlock, content: str) -> str:
    if content.startswith("["):
        return _first(content)
    files = call.name == "Glob" or call.input.get("output_mode") == "files_with_matches"
    count = sum(not line.startswith("[") for line in content.split("\n"))
    return _counted(count, "file" if files else "line")


def _ran(_call: ToolUseBlock, content: str) -> str:
    return "no output" if content.startswith("[no ") else ""


def _todos(call: ToolUseBlock, _content: str) -> str:
    todos = call.input.get("todos")
    items = [one for one in todos if isinstance(one, dict)] if isinstance(todos, list) else []
    done = sum(one.get("status") == "completed" for one in items)
    return f"{done} of {len(items)} done"


_OUTCOMES: Mapping[str, Callable[[ToolUseBlock, str], str]] = {
    "Read": _read,
    "Glob": _found,
    "Grep": _found,
    "Bash": _ran,
    "TodoWrite": _todos,
    "Edit": lambda _call, _content: "",
    "Write": lambda _call, _content: "",
    "NotebookEdit": lambda _call, content: _first(content),
    "Agent": lambda _call, content: _first(content),
}


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _first(content: str) -> str:
    return content.strip().partition("\n")[0]


def glance(call: ToolUseBlock, result: ToolResult) -> tuple[list[Line], int]:
    """Return what is shown of a result without being asked for, and how many lines are left out."""
    if call.name == "TodoWrite":
        return list(_list(call.input.get("todos"))), 0
    lines = body(result)
    if result.denied_by is not None or (not result.ok and not _is_output(call, result)):
        lines = lines[1:]  # the first is in the headline
        return [], len(lines)
    if not _is_output(call, result) or result.content.startswith("[no "):
        return [], 0 if call.name in _SAYS_ENOUGH else len(lines)
    effects = result.side_effects
    if effects is not None and effects.exit_code:
        lines = lines[1:]  # says the exit code
    if len(lines) > OUTPUT_LINES + 1:  # what went wrong is said at the end
        shown = lines[:OUTPUT_LINES] if result.ok else lines[-OUTPUT_LINES:]
    else:
        shown = lines
    return [[("dim", _bounded(text))] for text in shown], len(lines) - len(shown)


def _is_output(call: ToolUseBlock, result: ToolResult) -> bool:
    failed = not result.ok and (result.side_effects is None or not result.side_effects.exit_code)
    return call.name in _SHOWS_OUTPUT and not failed


def body(result: ToolResult) -> list[str]:
    """Return the lines of a result, fit for a terminal."""
    text = plain(_WRAPPER.sub("", result.content).replace("\r\n", "\n").strip("\n"))
    return [isolated(untabbed(line)) for line in text.split("\n")] if text else []


def _bounded(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]} … +{len(text) - _LONGEST:,} characters"


def _list(todos: Any) -> Iterator[Line]:
    for one in todos if isinstance(todos, list) else ():
        if isinstance(one, dict):
            status = str(one.get("status"))
            style = {"completed": "dim", "in_progress": "bold"}.get(status, "")
            text = isolated(one_line(str(one.get("content", ""))))
            yield [("ansicyan", f"{_MARKS.get(status, '☐')} "), (style, text)]


def further(call: ToolUseBlock) -> dict[str, Any]:
    """Return of a call's input what its headline does not say."""
    said = _telling(call)
    return {name: value for name, value in call.input.items() if value != said}


def arguments(given: Mapping[str, Any], most: int | None = None) -> tuple[list[Line], int]:
    """Return a call's input, a line for each field and more for long ones, and what is left out.

    Args:
        given: the input.
        most: the lines, which are then bounded too; None for all of it.
    """
    lines: list[Line] = []
    left_out = 0
    for name, value in given.items():
        text = value if isinstance(value, str) else _as_json(value)
        before = ("dim", f"{one_line(name)}: ")
        for line in plain(text).split("\n"):
            shown = _bounded(line) if most is not None else line
            left_out += shown != line
            lines.append([before, ("", isolated(shown))])
            before = ("", "  ")
    kept = lines[:most]
    return kept, max(len(lines) - len(kept), left_out)
