"""What the tests of recording share: a recording in this process, of an agent in one of its own."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from ccpa.fixtures import read_trace
from ccpa.record.recording import Recording, Subject
from ccpa.record.run import Ended, run
from ccpa.record.start import typed
from ccpa.scripted.http import Handler
from ccpa.trace import Record
from ccpa.validate import check


def recorded(upstream: Handler, words: Sequence[str], project: Path) -> tuple[Ended, list[Record]]:
    """Record an agent; return how it ended and the records of its main trace, a valid one."""
    home = project.parent / "home"
    home.mkdir(exist_ok=True)
    subject = Subject(
        actor="an-agent",
        files=project,
        cwd=str(project),
        output=project.parent / "recorded.ccpa-trace.jsonl",
        arguments=tuple(words[1:]),
    )
    recording = Recording(subject, upstream, print)
    with Path(os.devnull).open("wb") as nowhere:
        agent = run(
            recording, lambda url: typed(words, url, home), project, stdout=nowhere.fileno()
        )
        ended = asyncio.run(agent)
    for trace in recording.traces:
        with trace.path.open("rb") as stream:
            assert check(stream, version=None, prefix=False).problems == []
    return ended, read_trace(subject.output)
