"""Counts the work of reading an output, in lines of code that run: seconds would tell little."""

import sys
from collections.abc import Sequence
from typing import Any

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import Family
from apr.providers.toolcalls.stream import Parser


def steps(
    tools: Sequence[ToolSpec], family: Family | None, opening: str, rest: str, piece: int = 16
) -> int:
    """Return how many steps it takes to read `opening` and `rest`, fed `piece` by piece."""
    count = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    output = opening + rest
    parser = Parser(tools, family=family)
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for start in range(0, len(output), piece):
            parser.feed(output[start : start + piece])
        parser.finish()
    finally:
        sys.settrace(before)
    return count
