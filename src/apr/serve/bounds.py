"""How large a prompt may be to be worth counting its tokens: that takes a second for a megabyte."""

from typing import Any

import msgspec

from apr.providers.base import ContextOverflow, Request

LONGEST_TOKEN = 128
"""Characters. The longest tokens that vocabularies have are runs of that many spaces."""


def check(request: Request, context: int) -> None:
    """Refuse a request without images whose prompt cannot fit, whatever its tokens are.

    Raises:
        ContextOverflow: it has more characters than the longest tokens would hold.
    """
    parts = (request.system, request.tools, request.messages)
    check_part(msgspec.to_builtins(parts), context)


def check_part(prompt: Any, context: int) -> None:
    """Refuse a prompt, or a part of one, in JSON's types, as `check` does."""
    count = _characters(prompt)
    if count > context * LONGEST_TOKEN:
        said = f"{count:,} characters cannot be {context:,} tokens"
        raise ContextOverflow(said, said=said)


def _characters(value: Any) -> int:
    match value:
        case str():
            return len(value)
        case dict():
            return sum(map(_characters, value.values()))
        case list() | tuple():
            return sum(map(_characters, value))
        case _:
            return 0
