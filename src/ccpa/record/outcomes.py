"""Whether a tool use succeeded, as far as the wire tells.

Only Anthropic Messages has a flag for it. On the wires of OpenAI an agent can say it in the text
alone, and some have a fixed form for that:

- `<tool_use_error>…</tool_use_error>`, and `Exit code N` on a failing command's first line: Claude
  Code, and agents that follow it;
- `Permission denied.` at the beginning: apr;
- `Exit code: N` or `Process exited with code N` in a header before the output: Codex;
- `<returncode>N</returncode>`: mini-swe-agent.

Where no flag and no form says otherwise, the result is taken for a success.
"""

import re

from msgspec import Struct

from ccpa.importers import claude_results
from ccpa.importers.values import exit_code
from ccpa.record.heard import Told
from ccpa.trace import DeniedBy

_FAILURES = ("<tool_use_error>", "Permission denied. ")
_FAILED_COMMAND = re.compile(r"Exit code (-?\d{1,9})(?:\n|$)")
_RETURN_CODE = re.compile(r"<returncode>(-?\d{1,9})</returncode>")


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
    form = _FAILED_COMMAND.match(told.content) or _RETURN_CODE.search(told.content[:200])
    code = told.exit_code if form is None else exit_code(int(form[1]))
    if told.failed and (denied := claude_results.denied_by(told.content)):
        return Came(False, None, known=True, denied_by=denied)
    if told.failed or told.content.startswith(_FAILURES):
        return Came(False, code, known=True)
    return Came(code in (None, 0), code, known=code is not None)
