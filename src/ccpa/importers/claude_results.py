"""What a result in Claude Code's formats says beside its text: who denied, what was touched."""

import re
from collections.abc import Callable
from typing import Any

from ccpa.importers.values import JsonObject, count, effects, exit_code, obj, text
from ccpa.paths import Root, relative
from ccpa.trace import DeniedBy, SideEffects, ToolUseBlock

_DENIALS: tuple[tuple[DeniedBy, re.Pattern[str]], ...] = (
    ("user", re.compile(r"The user doesn't want to (proceed with this tool use|take this action)")),
    ("user", re.compile(r"(Error: )?User rejected tool use")),
    ("hook", re.compile(r"(Hook )?PreToolUse:\S+ (hook error|denied this tool)")),
    ("hook", re.compile(r"\w+ operation blocked by hook")),
    ("mode", re.compile(r".{0,200}\bhaven't granted it yet", re.DOTALL)),
    ("mode", re.compile(r"Permission to use \S+ has been (auto-)?denied (because|in) .*\bmode\b")),
    ("mode", re.compile(r".{0,200}\bprompts? (are )?(unavailable|not available)", re.DOTALL)),
    (
        "rule",
        re.compile(r"(?s)Permission to (use|read|edit|write)\b.{0,4000}? (has been )?denied"),
    ),
    ("rule", re.compile(r".{0,500}\bis denied by your permission settings", re.DOTALL)),
)
"""How the text of an error result begins when the tool was kept from running, and by what."""

_EXIT_CODE = re.compile(r"(?:Error: )?Exit code (\d{1,9})\b")


def denied_by(content: str) -> DeniedBy | None:
    """Return what kept a tool from running, going by the text of its error result."""
    return next((who for who, pattern in _DENIALS if pattern.match(content)), None)


def side_effects(
    use: ToolUseBlock | None, content: str, facts: Any, *, ok: bool, cwd: str | None
) -> SideEffects | None:
    """Return what a tool did besides answering, as far as the transcript tells.

    Args:
        use: the tool use, where it is known.
        content: the text that the model was given.
        facts: `toolUseResult`: an object of the tool's own shape, or a string for a failure.
        ok: it did not fail.
        cwd: the session's working directory.
    """
    if use is None or use.name not in _EFFECTS:
        return None
    find = _EFFECTS[use.name]
    return find(use.input, content, obj(facts) if ok else {}, ok, Root(cwd))


def duration_ms(facts: Any) -> int | None:
    """Return how long a tool ran, for the tools that say so."""
    known = obj(facts)
    return count(known.get("durationMs", known.get("totalDurationMs")))


def _bash(
    _tool_input: JsonObject, content: str, facts: JsonObject, ok: bool, _root: Root
) -> SideEffects | None:
    """A failure says its exit code. A success is 0, unless it is still running or was explained."""
    if not ok:
        found = _EXIT_CODE.match(content)
        return effects(code=exit_code(int(found[1]))) if found else None
    finished = "stdout" in facts and not facts.get("interrupted")
    explained = facts.get("backgroundTaskId") or facts.get("returnCodeInterpretation")
    return effects(code=0) if finished and not explained else None


def _read(
    tool_input: JsonObject, _content: str, facts: JsonObject, ok: bool, root: Root
) -> SideEffects | None:
    path = text(obj(facts.get("file")).get("filePath")) or text(tool_input.get("file_path"))
    return effects(read=[relative(path, root)]) if ok and path else None


def _wrote(
    tool_input: JsonObject, _content: str, facts: JsonObject, ok: bool, root: Root
) -> SideEffects | None:
    names = facts.get("filePath"), tool_input.get("file_path"), tool_input.get("notebook_path")
    path = next((name for name in names if text(name)), None)
    return effects(written=[relative(path, root)]) if ok and path else None


_EFFECTS: dict[str, Callable[[JsonObject, str, JsonObject, bool, Root], SideEffects | None]] = {
    "Bash": _bash,
    "Read": _read,
    "Write": _wrote,
    "Edit": _wrote,
    "MultiEdit": _wrote,
    "NotebookEdit": _wrote,
}
