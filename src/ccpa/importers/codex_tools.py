"""Codex's tools by the names and inputs that a trace has for them.

What has no counterpart keeps its name and its input, and so does a patch that is more than one
edit: a translation that leaves something out would be another action.
"""

import shlex
from collections.abc import Callable, Iterator
from typing import Any

from ccpa.importers.values import JsonObject, objects, text

PATCH = "apply_patch"
_SHELLS = frozenset({"bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/bin/zsh"})
_SCRIPT_FLAGS = frozenset({"-c", "-lc"})

RENAMED: dict[str, tuple[str, dict[str, str]]] = {
    "read_file": ("Read", {}),
    "view_image": ("Read", {"path": "file_path"}),
    "grep_files": ("Grep", {"include": "glob", "limit": "head_limit"}),
    "web_search": ("WebSearch", {}),
}
"""Tools whose input differs in names alone: the trace's name, and the members that are renamed."""


def translated(name: str, tool_input: JsonObject, cwd: str | None) -> tuple[str, JsonObject]:
    """Return a tool's name and input as a trace has them.

    Args:
        name: Codex's name for the tool.
        tool_input: its arguments; of a custom tool `{"input": text}`.
        cwd: the session's working directory; a command's own is left out where it is the same.
    """
    if name in RENAMED:
        new_name, members = RENAMED[name]
        return new_name, {members.get(key, key): value for key, value in tool_input.items()}
    special = _SPECIAL.get(name)
    done = special(tool_input, cwd) if special is not None else None
    return done or (name, tool_input)


def patched_files(patch: str) -> list[str]:
    """Return the paths that a patch writes, moves to or deletes, in its order."""
    heads = ("*** Add File: ", "*** Update File: ", "*** Move to: ", "*** Delete File: ")
    lines = (line for line in patch.split("\n") if line.startswith(heads))
    return list(dict.fromkeys(line.partition(": ")[2] for line in lines))


def _shell(tool_input: JsonObject, cwd: str | None) -> tuple[str, JsonObject] | None:
    rest = dict(tool_input)
    command: Any = rest.pop("command", None)
    if command is None:
        command = rest.pop("cmd", None)
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        if len(command) == 2 and command[0] == PATCH:
            return _patch({"input": command[1]}, cwd)
        is_script = len(command) == 3 and command[0] in _SHELLS and command[1] in _SCRIPT_FLAGS
        command = command[2] if is_script else shlex.join(command)
    if not isinstance(command, str):
        return None
    if rest.get("workdir") in (None, cwd):
        rest.pop("workdir", None)
    if "timeout_ms" in rest:
        rest["timeout"] = rest.pop("timeout_ms")
    return "Bash", {"command": command, **rest}


def _plan(tool_input: JsonObject, _cwd: str | None) -> tuple[str, JsonObject] | None:
    rest = dict(tool_input)
    plan = objects(rest.pop("plan", None))
    if not plan:
        return None
    todos = [
        {{"step": "content"}.get(key, key): value for key, value in step.items()} for step in plan
    ]
    return "TodoWrite", {"todos": todos, **rest}


def _patch(tool_input: JsonObject, _cwd: str | None) -> tuple[str, JsonObject] | None:
    """A patch that adds one file is a `Write`; one that changes one place of a file, an `Edit`."""
    patch = text(tool_input.get("input")) or ""
    lines = patch.strip().split("\n")
    if lines[0] != "*** Begin Patch" or lines[-1] != "*** End Patch" or len(lines) < 3:
        return PATCH, tool_input
    head, body = lines[1], lines[2:-1]
    if head.startswith("*** Add File: ") and all(line.startswith("+") for line in body):
        content = "".join(line[1:] + "\n" for line in body)
        return "Write", {"file_path": head.partition(": ")[2], "content": content}
    if head.startswith("*** Update File: ") and body and body[0].strip() == "@@":
        body = body[1:]
    is_edit = head.startswith("*** Update File: ") and all(line[:1] in _EDIT for line in body)
    old, new = "\n".join(_side(body, "-")), "\n".join(_side(body, "+"))
    if not is_edit or not old:
        return PATCH, tool_input
    path = head.partition(": ")[2]
    return "Edit", {"file_path": path, "old_string": old, "new_string": new}


_EDIT = frozenset({" ", "-", "+", ""})


def _side(body: list[str], sign: str) -> Iterator[str]:
    """Yield a hunk's lines as they stand before (`-`) or after it (`+`)."""
    return (line[1:] for line in body if line[:1] in (" ", "", sign))


_SPECIAL: dict[str, Callable[[JsonObject, str | None], tuple[str, JsonObject] | None]] = {
    "shell": _shell,
    "container.exec": _shell,
    "local_shell": _shell,
    "shell_command": _shell,
    "exec_command": _shell,
    "update_plan": _plan,
    PATCH: _patch,
}
