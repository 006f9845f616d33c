"""The conversation in a file: /export, /trace."""

import asyncio
import contextlib
import datetime
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from apr.errors import AprError
from apr.home import beside
from apr.providers.base import AssistantMessage, Message, ToolMessage, UserMessage
from apr.sessions.exporting import exported, markdown
from apr.sessions.lines import Opened
from apr.sessions.stored import Stored, load
from apr.terminal.commands.desk import Desk
from apr.terminal.commands.layout import wrapped
from apr.ui.terminal import line
from apr.ui.text import summary as call_in_a_line
from ccpa.trace import (
    AssistantTurn,
    HookEvent,
    Record,
    SessionEnd,
    TextBlock,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
    decode,
    encode,
)

_FORCE = "--force"
_TRACE = ".jsonl"
_SHOWN = 12
"""Records of a trace's end that are shown."""
_TAIL = 1 << 18
"""Bytes of its end that are looked at."""
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV})


async def export(desk: Desk, given: str) -> AsyncIterator[str]:
    """Write the conversation to a file: as Markdown, or as a trace where its name says so."""
    words = given.split()
    over = _FORCE in words
    name = " ".join(word for word in words if word != _FORCE)
    path = _path(desk, name or _named(desk))
    stored = await asyncio.to_thread(_stored, desk)
    if path.suffix == _TRACE:
        content = b"".join(encode(record) for record in _so_far(stored))
    else:
        content = ("\n\n".join(markdown(stored)) + "\n").encode("utf-8", "replace")
    put(path, content, over=over)
    yield wrapped(line(f"The conversation is written to {path}."), desk.width())


async def trace(desk: Desk, given: str) -> AsyncIterator[str]:
    """Show where the trace is, and its last records; or begin to write one."""
    if given:
        async for shown in _begun(desk, given):
            yield wrapped(shown, desk.width())
        return
    if desk.trace is None:
        yield "No trace is written. /trace FILE begins one, with all that has happened so far."
        return
    yield wrapped(line(str(desk.trace.absolute())), desk.width())
    for record in tail(desk.trace):
        yield wrapped(line(in_a_line(record)), desk.width(), rest="       ")


async def _begun(desk: Desk, given: str) -> AsyncIterator[str]:
    """Write a trace from here on, which begins with what the session's store has kept."""
    from apr.ui.trace import TraceWriter

    if desk.trace is not None:
        raise AprError(f"a trace is written already: {desk.trace}")
    if desk.assembled.store is None:
        raise AprError("this session is not stored: a trace of it must begin with it: --emit-trace")
    path = _path(desk, given)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    except FileExistsError:
        raise AprError(f"{path} is there already: name another file") from None
    # Nothing is awaited from here on, so that nothing happens between what was and what comes.
    so_far = list(_so_far(load(desk.assembled.store.path)))
    writer = TraceWriter(path, version=3, warn=desk.screen.say)
    for record in so_far:
        writer(record)
    desk.sinks.append(writer)
    desk.trace = path
    yield line(f"{path} has {len(so_far)} records so far, and gets each that comes.")


def tail(path: Path) -> list[Record]:
    """Return the last records of a trace.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _TAIL, 0))
        lines = file.read().split(b"\n")[:-1]
    records: list[Record] = []
    for one in lines[-_SHOWN:]:
        with contextlib.suppress(ValueError):  # the first may be cut
            records.append(decode(one))
    return records


def in_a_line(record: Record) -> str:
    """Say in a line what a record says."""
    turn = getattr(record, "turn", None)
    kind = type(record).__struct_config__.tag
    told = ""
    match record:
        case UserPrompt(text=text):
            told = text
        case AssistantTurn(blocks=blocks):
            calls = [call_in_a_line(b) for b in blocks if isinstance(b, ToolUseBlock)]
            said = [b.text for b in blocks if isinstance(b, TextBlock)]
            told = " · ".join([*said, *calls])
        case ToolResult(ok=ok, content=content):
            told = f"{'ok' if ok else 'failed'}: {content}"
        case HookEvent(event=event, decision=decision):
            told = f"{event}: {decision}"
    return f"{'' if turn is None else turn:>4}  {kind}  {' '.join(told.split())[:160]}".rstrip()


def put(path: Path, content: bytes, *, over: bool) -> None:
    """Write a file whole or not at all, over another one only where that is wanted.

    Raises:
        AprError: it is there already.
        OSError: it cannot be written.
    """
    new = beside(path)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        if over:
            new.replace(path)
        else:
            _link(new, path)
    except FileExistsError:
        raise AprError(f"{path} is there already: {_FORCE} writes over it") from None
    finally:
        new.unlink(missing_ok=True)


def _link(new: Path, path: Path) -> None:
    """Give a file its name, unless there is one of that name: then raise FileExistsError."""
    try:
        os.link(new, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        new.replace(path)


def _path(desk: Desk, name: str) -> Path:
    try:
        path = desk.root / Path(name).expanduser()
        folder = path.parent.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise AprError(f"there is no directory for {name} ({error})") from None
    if path.is_dir():
        raise AprError(f"{path} is a directory: name a file")
    return folder / path.name


def _named(desk: Desk) -> str:
    day = datetime.datetime.now(tz=datetime.UTC).astimezone().date().isoformat()
    return f"conversation-{day}-{desk.assembled.agent.session.id[-6:]}.md"


def _stored(desk: Desk) -> Stored:
    """Return what the session's store has kept; where it is not stored, what the model knows."""
    agent, store = desk.assembled.agent, desk.assembled.store
    if store is not None:
        return load(store.path)
    opened = Opened(
        id=agent.session.id,
        cwd=str(desk.root),
        model=agent.session.model,
        ts="",
        agent_version="",
    )
    stored = Stored(path=desk.root, opened=opened)
    stored.records += [record for one in agent.messages for record in _records(one)]
    return stored


def _records(message: Message) -> Iterator[Record]:
    match message:
        case UserMessage(text):
            yield UserPrompt(v=1, turn=0, text=text)
        case AssistantMessage(blocks):
            yield AssistantTurn(v=1, turn=1, blocks=list(blocks), stop_reason="end_turn")
        case ToolMessage(answers):
            for answer in answers:
                yield ToolResult(
                    v=1,
                    turn=2,
                    tool_use_id=answer.tool_use_id,
                    ok=answer.ok,
                    content=answer.content,
                )


def _so_far(stored: Stored) -> Iterator[Record]:
    """Yield the records of a session that goes on: its end is yet to come."""
    return (record for record in exported(stored) if not isinstance(record, SessionEnd))
