"""A trace as what is compared: actions, model calls, and how things came out.

An *action* is something the agent did: a tool use, a hook that ran, a skill put to use. Actions are
aligned and scored. What surrounds them (how many model calls it took, why each ended, what each
tool came to) is compared where the actions agree, and never adds to the score.

Most of a trace is text that is not compared. The record types below are views of those in
`ccpa.trace` with the compared fields only; the decoder passes over the rest, and a tool's input
stays undecoded until something asks for it. That is what lets a year of traces be read while you
wait. Unknown fields are passed over too: strictness is the business of `ccpa validate`.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Literal, cast

import msgspec
from msgspec import Raw, Struct

from ccpa.errors import CcpaError
from ccpa.trace import MAX_LINE_BYTES, DeniedBy, HookDecision, SessionStop, TurnStop

ActionKind = Literal["tool_use", "hook_event", "skill_invocation"]

# The same tool under its older name.
TOOL_ALIASES = {"Task": "Agent", "BashOutput": "TaskOutput", "KillShell": "TaskStop"}


class TextView(Struct, tag_field="type", tag="text", gc=False):
    """A block of text: that it is there."""


class ThinkingView(Struct, tag_field="type", tag="thinking", gc=False):
    """A block of reasoning: that it is there."""


class ToolUseView(Struct, tag_field="type", tag="tool_use", gc=False):
    """A tool use; `input` is the JSON as it stands in the trace."""

    id: str
    name: str
    input: Raw


class SideEffectsView(Struct, gc=False):
    """What a tool did besides answering."""

    files_read: list[str] = []
    files_written: list[str] = []
    exit_code: int | None = None


class _View(Struct, tag_field="kind", kw_only=True, gc=False):
    v: Literal[1]


class SessionStartView(_View, tag="session_start", kw_only=True, gc=False):
    """Where and by whom the session ran."""

    actor: str = ""
    model: str = ""
    cwd_sha256: str | None = None
    cwd: str | None = None
    schema_version: int | None = None


class UserPromptView(_View, tag="user_prompt", kw_only=True, gc=False):
    """A prompt: its place."""

    turn: int


class AssistantTurnView(_View, tag="assistant_turn", kw_only=True, gc=False):
    """One model call."""

    turn: int
    blocks: list[TextView | ThinkingView | ToolUseView]
    stop_reason: TurnStop
    parent_tool_use_id: str | None = None


class ToolResultView(_View, tag="tool_result", kw_only=True, gc=False):
    """How a tool use came out. The text it answered with is not compared."""

    turn: int
    tool_use_id: str
    ok: bool
    side_effects: SideEffectsView | None = None
    denied_by: DeniedBy | None = None


class HookEventView(_View, tag="hook_event", kw_only=True, gc=False):
    """A hook that ran."""

    turn: int
    event: str
    decision: HookDecision
    exit_code: int
    matcher: str | None = None
    output: str | None = None
    parent_tool_use_id: str | None = None


class SkillInvocationView(_View, tag="skill_invocation", kw_only=True, gc=False):
    """A skill put to use."""

    turn: int
    name: str
    source: Literal["user_invoked", "auto_matched"]
    instructions_injected: bool = False
    parent_tool_use_id: str | None = None


class CompactionView(_View, tag="compaction", kw_only=True, gc=False):
    """The history was summarised: not compared, for it is the context window's doing."""

    turn: int


class SessionEndView(_View, tag="session_end", kw_only=True, gc=False):
    """How the session ended."""

    turn: int
    stop_reason: SessionStop
    cwd_sha256_after: str | None = None


View = (
    SessionStartView
    | UserPromptView
    | AssistantTurnView
    | ToolResultView
    | HookEventView
    | SkillInvocationView
    | CompactionView
    | SessionEndView
)

_decoder = msgspec.json.Decoder(View)

# Nobody writes to a pipe that is opened by mistake, so opening must not wait. Windows has no pipes
# among its files, but two kinds of reading.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_PIECE = 1 << 20  # bytes


class Action(Struct, gc=False):
    """One thing the agent did.

    Args:
        kind: what sort of thing.
        name: the tool (aliases resolved), the hook's event, or the skill.
        turn: the turn the trace gives it.
        call: index of the model call that made it in `Session.calls`; None for hooks and skills.
        view: the block or record it comes from.
        result: what a tool use came to, where the trace says.
    """

    kind: ActionKind
    name: str
    turn: int
    call: int | None
    view: ToolUseView | HookEventView | SkillInvocationView
    result: ToolResultView | None = None


class ModelCall(Struct, gc=False):
    """One answer of the model, and how many actions it asked for."""

    turn: int
    stop_reason: TurnStop
    actions: int


class Session(Struct):
    """A trace, reduced to what is compared. `end` is None where the trace was cut short."""

    actions: list[Action]
    calls: list[ModelCall]
    start: SessionStartView | None
    end: SessionEndView | None


def read_views(path: Path | str) -> list[View]:
    """Read a trace file.

    Raises:
        CcpaError: the file cannot be read, or a line is not a record; the message names the line.
    """
    try:
        data = _read_file(os.fspath(path))
    except OSError as error:
        raise CcpaError(f"cannot read the trace {path}: {error.strerror or error}") from None
    except MemoryError:
        raise CcpaError(f"cannot read the trace {path}: larger than the memory") from None
    try:
        return decode_views(data)
    except CcpaError as error:
        raise CcpaError(f"{path}: {error}\n`ccpa validate {path}` lists all of it") from None


def _read_file(path: str) -> bytes:
    """Read a file that ends: no device, and no pipe but one the shell made (`<(...)`).

    A corpus has thousands of files, and Python's file objects take twice the time of these calls.
    """
    descriptor = os.open(path, _READ)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISFIFO(status.st_mode) and path.startswith("/dev/fd/"):
            os.set_blocking(descriptor, True)
        elif not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        data = os.read(descriptor, status.st_size + 1)
        if len(data) != status.st_size or not data:  # a pipe, or more than one read returns
            pieces = [data]
            while pieces[-1]:
                pieces.append(os.read(descriptor, _PIECE))
            data = b"".join(pieces)
        return data
    finally:
        os.close(descriptor)


def decode_views(data: bytes) -> list[View]:
    """Decode the lines of a trace; blank lines are passed over.

    Raises:
        CcpaError: a line is not a record; the message begins with its number.
    """
    _refuse_long_lines(data)
    try:
        return cast("list[View]", _decoder.decode_lines(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Once more, line by line: blank lines are allowed, and an error needs its line number.
        views = []
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.strip():
                views.append(_decode_line(line, number))
        return views


def _refuse_long_lines(data: bytes) -> None:
    """Refuse a line that no record may have, before time and memory are spent on what is in it."""
    start = 0
    while len(data) - start > MAX_LINE_BYTES:
        end = data.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)
        if end < 0:
            number, limit = data.count(b"\n", 0, start) + 1, MAX_LINE_BYTES >> 20
            raise CcpaError(f"line {number}: longer than {limit} MiB, which no record may be")
        start = end + 1


def _decode_line(line: bytes, number: int) -> View:
    try:
        return cast("View", _decoder.decode(line))
    except RecursionError:
        raise CcpaError(f"line {number}: JSON nested too deep to read") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        mark = line.startswith(b"\xef\xbb\xbf")
        hint = ": the file starts with a byte order mark; remove it" if mark else ""
        raise CcpaError(f"line {number}: {error}{hint}") from None


def session(views: list[View], *, ordered: bool = False) -> Session:
    """Reduce a trace's records to its actions, model calls and ends.

    A result belongs to the latest unanswered tool use of its id. Unless the records are `ordered`
    already, what a subagent did is put right after the turn that started it.
    """
    found = Session([], [], None, None)
    actions, calls = found.actions, found.calls
    open_uses: dict[str, Action] = {}
    # A year of records comes by here, and `isinstance` would take twice the time.
    for view in views:
        if type(view) is AssistantTurnView:
            if view.parent_tool_use_id is not None and not ordered:
                return session(_by_agent(views), ordered=True)
            before = len(actions)
            for block in view.blocks:
                if type(block) is ToolUseView:
                    name = TOOL_ALIASES.get(block.name, block.name)
                    action = Action("tool_use", name, view.turn, len(calls), block)
                    open_uses[block.id] = action
                    actions.append(action)
            calls.append(ModelCall(view.turn, view.stop_reason, len(actions) - before))
        elif type(view) is ToolResultView:
            answered = open_uses.pop(view.tool_use_id, None)
            if answered is not None:
                answered.result = view
        elif type(view) is HookEventView:
            actions.append(Action("hook_event", view.event, view.turn, None, view))
        elif type(view) is SkillInvocationView:
            actions.append(Action("skill_invocation", view.name, view.turn, None, view))
        elif type(view) is SessionStartView:
            found.start = found.start or view
        elif type(view) is SessionEndView:
            found.end = view
    return found


def _by_agent(views: list[View]) -> list[View]:
    """Put what each subagent did, in its order, right after the turn that started it.

    Several subagents at once mix differently on every run, and that is nobody's decision.
    """
    children: dict[str, list[View]] = {}
    main: list[View] = []
    for view in views:
        parent = None
        if isinstance(view, AssistantTurnView | HookEventView | SkillInvocationView):
            parent = view.parent_tool_use_id
        if parent is not None:
            children.setdefault(parent, []).append(view)
        else:
            main.append(view)
    ordered: list[View] = []
    waiting = main[::-1]
    while waiting or children:
        if not waiting:  # of a parent that the trace does not show
            waiting = children.pop(next(iter(children)))[::-1]
        view = waiting.pop()
        ordered.append(view)
        if isinstance(view, AssistantTurnView):
            uses = [block.id for block in view.blocks if isinstance(block, ToolUseView)]
            for use in reversed(uses):
                waiting += reversed(children.pop(use, []))
    return ordered
