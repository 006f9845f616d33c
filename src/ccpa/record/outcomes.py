"""Whether a tool use succeeded, as far as the wire tells.

Only Anthropic Messages has a flag for it. On the wires of OpenAI an agent can say it in the text
alone, and some have a fixed form for that:

- `<tool_use_error>…</tool_use_error>`, and `Exit code N` on a failing command's first line: Claude
  Code, and agents that follow it;
- `Permission denied.` at the beginning: apr;
- `Exit code: N` or `Process exited with code N` in a header before the output: Codex;
- `unsupported call:`: Codex, of a tool it does not have;
- `Qwen Code requires permission to use`: Qwen Code, of a tool that it denies;
- `<returncode>N</returncode>` at the beginning, or a JSON object with `returncode`: mini-swe-agent;
- `Command exited with code N` as the last line: pi;
- `Exit Code: N` among the last lines of what begins with `Command:`: Qwen Code.

Where no flag and no form says otherwise, the result is taken for a success.
"""

import re

from msgspec import Struct

from ccpa.importers import claude_results
from ccpa.importers.reading import parsed
from ccpa.importers.values import exit_code, obj
from ccpa.record.heard import Told
from ccpa.trace import DeniedBy

_FAILURES = (
    "<tool_use_error>",
    "Permission denied. ",
    "unsupported call: ",
    "Qwen Code requires permission to use ",
)
_FAILED_COMMAND = re.compile(r"Exit code (-?\d{1,9})(?:\n|$)")
_RETURN_CODE = re.compile(r"<returncode>(-?\d{1,9})</returncode>")
_LAST_LINE = re.compile(r"\nCommand exited with code (-?\d{1,9})\s*\Z")
_LAST_LINES = re.compile(r"\nExit Code: (-?\d{1,9})\n(?!.*\nExit Code: )", re.DOTALL)
_END = 400


class Came(Struct, frozen=True):
    """What a tool use came to; `known` is whether the wire says so, or nothing says otherwise."""

    ok: bool
    exit_code: int | None
    known: bool
    denied_by: DeniedBy | None = None


def outcome(told: Told) -> Came:
    """Read a result."""
    if told.failed is False:
        return Came(True, told.exit_code, known=True)
    code = _exit_code(told)
    if told.failed and (denied := claude_results.denied_by(told.content)):
        return Came(False, None, known=True, denied_by=denied)
    if told.failed or told.content.startswith(_FAILURES):
        return Came(False, code, known=True)
    return Came(code in (None, 0), code, known=code is not None)


def _exit_code(told: Told) -> int | None:
    """Return the exit code that a result tells, in whichever form."""
    content, end = told.content, told.content[-_END:]
    if content.startswith("{") and "returncode" in (said := obj(parsed(content))):
        return exit_code(said["returncode"])
    form = (
        _FAILED_COMMAND.match(content)
        or _RETURN_CODE.match(content)
        or _LAST_LINE.search(end)
        or (_LAST_LINES.search(end) if content.startswith("Command: ") else None)
    )
    return told.exit_code if form is None else exit_code(int(form[1]))
