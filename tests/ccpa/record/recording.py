"""What the tests of recording share: a recording in this process, of an agent in one of its own."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ccpa.agents.base import Command
from ccpa.fixtures import read_trace
from ccpa.record.run import Plan, Recorded, record
from ccpa.record.start import as_typed, typed
from ccpa.scripted.http import Handler
from ccpa.trace import Record
from ccpa.validate import check

PYTHON = sys.executable


def recorded(
    upstream: Handler, words: Sequence[str], project: Path, *, secrets: tuple[str, ...] = ()
) -> tuple[Recorded, list[Record]]:
    """Record an agent; return what came of it and the records of its main trace, a valid one."""
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    output = project.parent / "recorded.ccpa-trace.jsonl"

    def command(base_url: str) -> Command:
        return typed(words, base_url, home)

    plan = Plan(
        actor="an-agent",
        command=command,
        project=project,
        output=output,
        arguments=tuple(words[1:]),
        names=as_typed,
        secrets=secrets,
        stdout=os.open(os.devnull, os.O_WRONLY),
        warn=print,
    )
    try:
        done = asyncio.run(record(plan, upstream))
    finally:
        os.close(plan.stdout)
    for trace in done.traces:
        with trace.path.open("rb") as stream:
            assert check(stream, version=None, prefix=False).problems == []
    return done, read_trace(output)
