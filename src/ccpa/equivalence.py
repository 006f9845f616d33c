"""When are two actions the same? One small rule per tool.

A rule turns an action into a *key*; two actions are the same if and only if their keys are equal.
So the relation is an equivalence by construction: symmetric, transitive, and reflexive on every
action that makes sense. A tool use without its required input makes none: its key is an object of
its own that equals nothing else, so that such a call matches nothing, not even another such call.

To add a rule, write a function from the tool's input to a key and enter it in `RULES`.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import msgspec

from ccpa import shell
from ccpa.actions import Action, HookEventView, SkillInvocationView, ToolUseView
from ccpa.paths import Root, relative

Input = dict[str, Any]
Key = Hashable
Rule = Callable[[Input, Root], Key | None]

PATH_NAMES = ("file_path", "path", "notebook_path")
EVERY_TOOL = "*"  # a hook without a matcher runs for every tool
MAX_DEPTH = 100  # of a tool's input; hostile nesting must not exhaust the stack

_decoder = msgspec.json.Decoder()


class Malformed:
    """The key of a tool use without its required input: equal to nothing but itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Malformed()"  # without its address, by which two runs would differ


def read(tool_input: Input, root: Root) -> Key | None:
    """Path and range. Lines count from 1, so an offset of 1 says no more than none at all."""
    path = _path(tool_input, root)
    offset = _number(tool_input, "offset", 0)
    start = 0 if offset == 1 else offset
    return path and (path, start, _number(tool_input, "limit", None), _other(tool_input, "pages"))


def write(tool_input: Input, root: Root) -> Key | None:
    """Path and the exact content: what a file holds has no spelling variants."""
    path, content = _path(tool_input, root), _text(tool_input, "content")
    return None if path is None or content is None else (path, content)


def edit(tool_input: Input, root: Root) -> Key | None:
    """Path, what goes, what comes, and whether everywhere.

    This is the rule where the file is unknown. Where the fixture's workspace gives it, edits are
    compared by the change they make to it (`ccpa.edits`).
    """
    path = _path(tool_input, root)
    old, new = _text(tool_input, "old_string"), _text(tool_input, "new_string")
    if path is None or old is None or new is None:
        return None
    return path, old, new, _flag(tool_input, "replace_all")


def notebook_edit(tool_input: Input, root: Root) -> Key | None:
    """Path, cell and what it becomes. A deletion needs no source; the usual mode is `replace`."""
    path, source = _path(tool_input, root), _text(tool_input, "new_source")
    mode = _other(tool_input, "edit_mode", "replace")
    if path is None or (source is None and mode != "delete"):
        return None
    cell, kind = _other(tool_input, "cell_id"), _other(tool_input, "cell_type")
    return path, cell, kind, mode, source


def glob(tool_input: Input, root: Root) -> Key | None:
    """Pattern and the directory searched, which is the working directory if none is named."""
    pattern = _text(tool_input, "pattern")
    return None if pattern is None else (pattern, _directory(tool_input, root))


def grep(tool_input: Input, root: Root) -> Key | None:
    """Whatever changes what is found or how much of it is seen.

    `-C n` is `-A n -B n`. Line numbers (`-n`) dress up the same lines, so they are left out.
    """
    pattern = _text(tool_input, "pattern")
    if pattern is None:
        return None
    around = _number(tool_input, "-C", _number(tool_input, "context", 0))
    return (
        pattern,
        _directory(tool_input, root),
        _other(tool_input, "glob"),
        _other(tool_input, "type"),
        _other(tool_input, "output_mode", "files_with_matches"),
        _flag(tool_input, "-i"),
        _flag(tool_input, "-o"),
        _flag(tool_input, "multiline"),
        _number(tool_input, "-A", around),
        _number(tool_input, "-B", around),
        _number(tool_input, "head_limit", None),
        _number(tool_input, "offset", 0),
    )


def bash(tool_input: Input, root: Root) -> Key | None:
    """The command as parsed, and whether it runs in the background.

    How long to wait and how the call is described to a person do not change what runs. The name of
    the working directory is the run's, not the agent's, and is compared as such.
    """
    # The command stands in the key as text; `parsed` turns many of them into meanings at once.
    command = _text(tool_input, "command")
    if command is None:
        return None
    return shell.with_root(command, root.spellings), _flag(tool_input, "run_in_background")


def background_task(tool_input: Input, _root: Root) -> Key | None:
    """Which background task. Its id is the harness's own name for it: see `task_numbers`."""
    task = task_id(tool_input)
    return task and (task, _other(tool_input, "block"), _other(tool_input, "filter"))


def agent(tool_input: Input, _root: Root) -> Key | None:
    """Who is asked, what exactly, and where it works. The roster's names are matched without case.

    The description is for people, and the model is the user's choice.
    """
    prompt = _text(tool_input, "prompt")
    kind = tool_input.get("subagent_type", "general-purpose")
    if prompt is None or not isinstance(kind, str):
        return None
    isolation, background = _other(tool_input, "isolation"), _flag(tool_input, "run_in_background")
    return kind.casefold(), prompt, isolation, background


def skill(tool_input: Input, _root: Root) -> Key | None:
    """Which skill, with which arguments; none and empty ones are the same."""
    name = _text(tool_input, "skill")
    return name and (name, _other(tool_input, "args", ""))


def web_fetch(tool_input: Input, _root: Root) -> Key | None:
    """The address, and what is asked of the page."""
    url = _text(tool_input, "url")
    return url and (url, _other(tool_input, "prompt"))


def web_search(tool_input: Input, _root: Root) -> Key | None:
    """The query, and the domains it keeps to or leaves out, in any order."""
    query = _text(tool_input, "query")
    return query and (
        query,
        _domains(tool_input, "allowed_domains"),
        _domains(tool_input, "blocked_domains"),
    )


def any_other(tool_input: Input, root: Root) -> Key:
    """Canonical JSON: key order and `1.0` for `1` do not count, everything else does.

    Of a tool without a rule it is unknown what is a path. Only what the usual path keys hold is
    made relative, and only if it lies inside the working directory.
    """
    inside = {
        name: relative(value, root)
        for name in PATH_NAMES
        if isinstance(value := tool_input.get(name), str) and _is_inside(value, root)
    }
    return _json(tool_input | inside)


RULES: dict[str, Rule] = {
    "Agent": agent,
    "Bash": bash,
    "Edit": edit,
    "Glob": glob,
    "Grep": grep,
    "NotebookEdit": notebook_edit,
    "Read": read,
    "Skill": skill,
    "TaskOutput": background_task,
    "TaskStop": background_task,
    "WebFetch": web_fetch,
    "WebSearch": web_search,
    "Write": write,
}


def hook_key(hook: HookEventView, root: Root) -> Key:
    """Event, matcher, decision, exit code, and what the hook said, white space aside."""
    output = " ".join(hook.output.split()) if hook.output else ""
    if output:
        output = shell.with_root(output, root.spellings)
    return hook.event, hook.matcher or EVERY_TOOL, hook.decision, hook.exit_code, output


def skill_key(invocation: SkillInvocationView) -> Key:
    """Name, who called for it, and whether its text reached the model."""
    return invocation.name, invocation.source, invocation.instructions_injected


def tool_key(name: str, raw: bytes, root: Root) -> Key:
    """Return the key of one use of a tool (aliases resolved) whose input is this JSON.

    `Malformed` where the input is no JSON object or lacks what the tool requires.
    """
    tool_input = decode_input(raw)
    key = None if tool_input is None else RULES.get(name, any_other)(tool_input, root)
    return Malformed() if key is None else (name, key)


def key(action: Action, root: Root) -> Key:
    """Return the key of one action on its own; `ccpa.compare` does the same for whole streams."""
    if isinstance(action.view, ToolUseView):
        found = tool_key(action.name, bytes(action.view.input), root)
        if action.name != "Bash" or not isinstance(found, tuple):
            return found
        command, background = found[1]
        return action.name, shell.canonical(command) or command, background
    if isinstance(action.view, HookEventView):
        return action.kind, hook_key(action.view, root)
    return action.kind, skill_key(action.view)


def parsed(keys: Iterable[Key]) -> dict[Key, Key]:
    """Return for every shell command's key the one to compare it by: by its meaning."""
    found = {one for one in keys if isinstance(one, tuple) and one[0] == "Bash"}
    meanings = shell.meanings({command for _, (command, _) in found})
    return {
        (name, (command, background)): (name, meanings[command], background)
        for name, (command, background) in found
    }


def task_id(tool_input: Input) -> str | None:
    """Return the id of the background task that the input names, under any of its names."""
    for name in ("task_id", "bash_id", "shell_id"):
        if isinstance(value := tool_input.get(name), str) and value:
            return value
    return None


def decode_input(raw: bytes) -> Input | None:
    """Decode a tool's input; None where it is no JSON object, or nested too deep to be read."""
    try:
        value = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    may_be_deep = raw.count(b"{") + raw.count(b"[") > MAX_DEPTH  # hardly ever, and quick to see
    return None if may_be_deep and _is_deeper(value, MAX_DEPTH) else value


def _is_deeper(value: Any, depth: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    below = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_is_deeper(one, depth - 1) for one in below)


def path_of(tool_input: Input) -> str | None:
    """Return the path an input names, under any of its names; None where there is none."""
    for name in PATH_NAMES:
        if isinstance(value := tool_input.get(name), str) and value:
            return value
    return None


def _path(tool_input: Input, root: Root) -> str | None:
    path = path_of(tool_input)
    return None if path is None else relative(path, root)


def _directory(tool_input: Input, root: Root) -> str:
    return relative(path_of(tool_input) or ".", root)


def _is_inside(path: str, root: Root) -> bool:
    return any(
        path == one or path.startswith(one.removesuffix("/") + "/") for one in root.spellings
    )


def _text(tool_input: Input, name: str) -> str | None:
    value = tool_input.get(name)
    return value if isinstance(value, str) else None


def _other(tool_input: Input, name: str, default: str | None = None) -> Key:
    """Return text as it is, the default where there is nothing, and anything else as JSON."""
    value = tool_input.get(name)
    if value is None:
        return default
    return value if isinstance(value, str) else (_json(value),)


def _number(tool_input: Input, name: str, default: Any) -> Any:
    """Return an int, the default where there is none, or as JSON what is not a number at all."""
    value = tool_input.get(name)
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else _json(value)


def _flag(tool_input: Input, name: str) -> str:
    value = tool_input.get(name)
    return "false" if value is None else _json(value)


def _domains(tool_input: Input, name: str) -> str:
    value = tool_input.get(name) or []
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = sorted(set(value))
    return _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(_plain_numbers(value), order="sorted").decode()


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain_numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(one) for one in value]
    return value
