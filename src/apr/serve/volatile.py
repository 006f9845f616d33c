"""Lines of system prompts that change with every request and say nothing to a model.

One changed token in front makes a model evaluate the whole prompt again. These lines are notes of a
client to its own vendor's servers, put where the prompt begins; they are left out. A date or a time
that a prompt states is meant for the model: it stays, whatever it costs.
"""

import re

HEADERS = (
    # Claude Code: version, entry point and a checksum of each request, as its first system block.
    "x-anthropic-billing-header",
)

_LINE = re.compile(
    rf"^[ \t]*(?:{'|'.join(map(re.escape, HEADERS))})[ \t]*:[^\n]*(?:\n|\Z)",
    re.IGNORECASE | re.MULTILINE,
)
_FRONT = 4096
"""Characters of a prompt in which a header can be; further down such a line is the user's text."""


def without_headers(system: str) -> str:
    """Return a system prompt without the lines that change with every request."""
    front, rest = system[:_FRONT], system[_FRONT:]
    match = _LINE.search(front)
    if match is None or (match.end() == len(front) and rest):
        return system
    stripped = front[: match.start()] + front[match.end() :]
    return (stripped if front[: match.start()].strip() else stripped.lstrip("\n")) + rest
