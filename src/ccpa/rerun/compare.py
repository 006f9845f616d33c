"""Is a recorded result the one that the tool comes to here?"""

import hashlib
import re

from ccpa import trace
from ccpa.rerun.bench import Outcome, Workbench

_SHOWN = 300
_NOTE = re.compile(r"^[\[(<].*[\])>]$|^Found \d+ |^No (files|matches) found", re.DOTALL)

# What may differ between two runs of one command, and what stands for it in a comparison.
VOLATILE = (
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|sec|seconds)\b"), "<time>"),
    (re.compile(r"\b0x[0-9a-f]+\b"), "<address>"),
    (re.compile(r"/tmp/[\w./-]+"), "<temporary file>"),  # noqa: S108 (a pattern, not a file)
    (re.compile(r"^[ ~^]*[~^][ ~^]*\n", re.MULTILINE), ""),  # Python's marks under a line
)


def differs(bench: Workbench, record: trace.ToolResult, outcome: Outcome) -> str | None:
    """Say what is wrong with a recorded content, None if nothing is."""
    content = record.content
    if not content.strip():
        return "the result is empty"
    if not outcome.ok and outcome.exit_code is None:
        wrapped = content.startswith("<tool_use_error>")
        return None if wrapped else f"not a <tool_use_error>, but: {outcome.content}"
    if outcome.lines is not None:
        return _compare_lines(bench, content, outcome)
    if outcome.exact:
        return _compare_text(record, outcome.content)
    if all(path in content for path in outcome.files_written):
        return None
    return f"the result does not name {', '.join(outcome.files_written)}"


def _compare_text(record: trace.ToolResult, expected: str) -> str | None:
    if record.truncated:
        digest = hashlib.sha256(expected.encode("utf-8", "replace")).hexdigest()
        whole = record.content_sha256
        return None if digest == whole else f"the whole content has digest {digest}, not {whole}"
    if _NOTE.match(expected) and _NOTE.match(record.content):
        return None
    recorded, wanted = _settled(record.content), _settled(expected)
    if recorded == wanted:
        return None
    for number, (one, other) in enumerate(zip(recorded, wanted, strict=False), start=1):
        if one != other:
            return f"line {number} is {other[:_SHOWN]!r}, not {one[:_SHOWN]!r}"
    return f"there are {len(wanted)} lines, not {len(recorded)}"


def _settled(text: str) -> list[str]:
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    return text.rstrip("\n").split("\n")


def _compare_lines(bench: Workbench, content: str, outcome: Outcome) -> str | None:
    prefix = bench.cwd.rstrip("/") + "/"
    lines = {line.removeprefix(prefix) for line in content.split("\n") if line != "--"}
    must = {line.removeprefix(prefix) for line in outcome.lines or ()}
    may = must | {line.removeprefix(prefix) for line in outcome.optional_lines}
    unexpected = {line for line in lines - may if line and not _NOTE.match(line)}
    missing = must - lines
    if unexpected:
        return f"not found here: {min(unexpected)[:_SHOWN]!r}"
    if missing:
        return f"missing from the result: {min(missing)[:_SHOWN]!r}"
    return None
