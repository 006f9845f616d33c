"""Did equal tool uses come to equal results? A small rule per tool says what of a content counts.

The words around a result are an agent's own: "The file a.py has been updated" and "Edited a.py."
say the same. What a result carries is not. Each rule reduces a content to that, and two contents
are equal if the rules make the same of them:

| tool | what counts |
|---|---|
| Read | the numbered lines; no notes before or after them |
| Read of a notebook | nothing: each agent shows cells in its own form |
| Glob | which files are found; not their order, nor whether paths are absolute |
| Grep | the lines, without a count of files before them; not the order of files |
| Bash | the output; not times, addresses, names of temporary files |
| Bash, cut on both sides | the digest of the whole; else its first and last 100 lines |
| Bash in the background | that it was started |
| BashOutput | whether the command runs on, and its output |
| Agent | the last words of the subagent |
| AskUserQuestion | what was answered to each question |
| WebSearch | which pages were found, in any order |
| WebFetch | nothing: what a page says is told in an agent's own words |
| Write, Edit, NotebookEdit, KillShell, Skill, TodoWrite | nothing: whether it was done |
| ExitPlanMode | nothing: whether it was agreed to |
| any other | the text |

A refusal counts as one, in whatever words, if it is marked as one (`<tool_use_error>`) on both
sides, and a denial if the same denied it.
"""

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from ccpa.paths import Root, relative
from ccpa.person import answers
from ccpa.rerun.compare import VOLATILE
from ccpa.trace import AssistantTurn, Record, ToolResult, ToolUseBlock

_SHOWN = 200
_END = 100
_REFUSED = "<tool_use_error>"
_NUMBERED = re.compile(r"^ *(\d+)\t(.*)$", re.MULTILINE)
_NOTHING = re.compile(
    r"[\[(]?[\w ]*\bno (?:new )?(?:output|files|matches)\b[\w ]*[\])]?", re.IGNORECASE
)
_URL = re.compile(r"https?://[^\s<>\"')\]]+")
_COUNT = re.compile(r"Found \d+ (?:files?|matches|lines?).*|\[.*\b(?:more|narrower)\b.*\]")
_LINE = re.compile(r"(?P<path>.*?)(?P<rest>[:-]\d+[:-].*|:\d+)?")

Reduced = object
"""What counts of a content; anything that can be compared."""


class Use(Struct, frozen=True):
    """A tool use and its result; `root` is where the session ran."""

    block: ToolUseBlock
    result: ToolResult
    root: Root


def uses(records: list[Record], root: Root) -> dict[str, Use]:
    """Return the tool uses that have a result, by id."""
    blocks: dict[str, ToolUseBlock] = {}
    found: dict[str, Use] = {}
    for record in records:
        if isinstance(record, AssistantTurn):
            blocks |= {
                block.id: block for block in record.blocks if isinstance(block, ToolUseBlock)
            }
        elif isinstance(record, ToolResult) and record.tool_use_id in blocks:
            found[record.tool_use_id] = Use(blocks[record.tool_use_id], record, root)
    return found


def difference(teacher: Use, student: Use) -> tuple[str, str] | None:
    """Return what differs between two contents, as each side has it; None if nothing counts.

    Whether the two went well, and who denied them, is for `ccpa.drifts` to compare.
    """
    ours, theirs = teacher.result, student.result
    if ours.denied_by is not None or theirs.denied_by is not None or ours.ok != theirs.ok:
        return None
    refused = [one.content.startswith(_REFUSED) for one in (ours, theirs)]
    if any(refused):
        return None if all(refused) else (_shown(ours.content), _shown(theirs.content))
    rule = _RULES.get(teacher.block.name, _text)
    if ours.truncated and theirs.truncated:
        if ours.content_sha256 and ours.content_sha256 == theirs.content_sha256:
            return None
        rule = _ends
    left, right = rule(teacher), rule(student)
    return None if left == right else _first_difference(left, right)


def _text(use: Use) -> Reduced:
    return _settled(use.result.content)


def _ends(use: Use) -> Reduced:
    """Agents cut at different places, and differ in whether a last newline is in the digest."""
    lines = _settled(use.result.content).split("\n")
    return lines[:_END] + lines[-_END:]


def _own_words(_use: Use) -> Reduced:
    return None


def _read(use: Use) -> Reduced:
    path = use.block.input.get("file_path", use.block.input.get("path"))
    if str(path).endswith(".ipynb"):
        return None
    return [f"{number}\t{line}" for number, line in _NUMBERED.findall(use.result.content)]


def _glob(use: Use) -> Reduced:
    lines = use.result.content.splitlines()
    return sorted({relative(line, use.root) for line in lines if line and not _is_note(line)})


def _grep(use: Use) -> Reduced:
    found = []
    for line in use.result.content.splitlines():
        if line and line != "--" and not _is_note(line):
            parts = _LINE.fullmatch(line)
            path = relative(parts["path"], use.root) if parts else line
            found.append(path + (parts["rest"] or "" if parts else ""))
    return sorted(found)


def _bash(use: Use) -> Reduced:
    if use.block.input.get("run_in_background"):
        return None
    text = _settled(use.result.content)
    return "" if _is_note(text) else text


def _bash_output(use: Use) -> Reduced:
    status, _, output = use.result.content.partition("\n")
    output = _settled(output)
    return status.startswith("[running"), "" if _is_note(output) else output


def _agent(use: Use) -> Reduced:
    words, _, _ = use.result.content.partition("\n\nWorktree: ")
    return words.strip()


def _answered(use: Use) -> Reduced:
    given = answers(use.block.input, use.result.content)
    return [f"{question} {answer}" for question, answer in given.items()]


def _found(use: Use) -> Reduced:
    return sorted({url.rstrip("/.,;") for url in _URL.findall(use.result.content)})


_RULES: dict[str, Callable[[Use], Reduced]] = {
    "Agent": _agent,
    "AskUserQuestion": _answered,
    "Bash": _bash,
    "BashOutput": _bash_output,
    "Edit": _own_words,
    "ExitPlanMode": _own_words,
    "Glob": _glob,
    "Grep": _grep,
    "KillShell": _own_words,
    "NotebookEdit": _own_words,
    "Read": _read,
    "Skill": _own_words,
    "Task": _agent,
    "TaskOutput": _bash_output,
    "TaskStop": _own_words,
    "TodoWrite": _own_words,
    "WebFetch": _own_words,
    "WebSearch": _found,
    "Write": _own_words,
}


def settled(text: str) -> str:
    """Return a text with a word in place of each thing that differs from run to run."""
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    return text


def _settled(text: str) -> str:
    return settled(text).strip("\n")


def _is_note(line: str) -> bool:
    return bool(_NOTHING.fullmatch(line) or _COUNT.fullmatch(line))


def _first_difference(left: Any, right: Any) -> tuple[str, str]:
    lines = [
        one.split("\n") if isinstance(one, str) else [str(item) for item in one]
        for one in (left, right)
    ]
    for ours, theirs in zip(*lines, strict=False):
        if ours != theirs:
            return _shown(ours), _shown(theirs)
    at = min(map(len, lines))
    rest = [_shown(one[at]) if len(one) > at else "nothing more" for one in lines]
    return rest[0], rest[1]


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
