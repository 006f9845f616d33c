"""`apr` as a user runs it: a process of its own, with an environment and a home of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from ccpa.trace import (
    AssistantTurn,
    Block,
    Record,
    TextBlock,
    ToolUseBlock,
    TurnStop,
    Usage,
    read,
)
from ccpa.validate import Problem, check

APR = str(Path(sys.executable).parent / "apr")


def environment(home: Path) -> dict[str, str]:
    """Return the whole environment a run gets."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}


def apr(
    *words: str | Path, home: Path, cwd: Path, stdin: str | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run `apr` to its end."""
    return subprocess.run(
        [APR, *map(str, words)],
        cwd=cwd,
        env=environment(home),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def start_apr(*words: str | Path, home: Path, cwd: Path) -> subprocess.Popen[str]:
    """Start `apr` and return at once."""
    return subprocess.Popen(
        [APR, *map(str, words)],
        cwd=cwd,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def records(trace: Path) -> list[Record]:
    """Return a trace's records."""
    return list(read(trace.read_bytes().splitlines()))


def problems(
    trace: Path, *, version: Literal[2, 3] | None = None, prefix: bool = False
) -> list[Problem]:
    """Return what the meter finds wrong with a trace."""
    with trace.open("rb") as stream:
        return check(stream, version=version, prefix=prefix).problems


def says(text: str, stop: TurnStop = "end_turn") -> AssistantTurn:
    """Return a turn of text for a scripted model."""
    return _turn([TextBlock(text)], stop)


def calls(*uses: tuple[str, Mapping[str, object]], first: int = 1, text: str = "") -> AssistantTurn:
    """Return a turn of tool calls for a scripted model; ids count up from `toolu_<first>`."""
    blocks: list[Block] = [TextBlock(text)] if text else []
    blocks += [
        ToolUseBlock(f"toolu_{n}", name, dict(given)) for n, (name, given) in enumerate(uses, first)
    ]
    return _turn(blocks, "tool_use")


def _turn(blocks: list[Block], stop: TurnStop) -> AssistantTurn:
    usage = Usage(input_tokens=100, output_tokens=10, cache_read_tokens=60)
    return AssistantTurn(v=1, turn=1, blocks=blocks, stop_reason=stop, usage=usage)
