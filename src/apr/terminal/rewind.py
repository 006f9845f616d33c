"""Back to an earlier prompt: the person says to which, and what is to be as it was before it."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from apr.agent.prompt import Rewrite
from apr.assembly import Assembled
from apr.legible import legible
from apr.sessions.checkpoints import Change, Checkpoints, Step, put_back
from apr.sessions.stored import Prompted, Stored, load
from apr.terminal.picker import Choice, pick
from apr.tools.paths import show
from apr.tools.task_replay import replay
from apr.ui.amounts import ago
from ccpa.trace import AssistantTurn, Record, ToolResult, ToolUseBlock, Usage

What = Literal["both", "conversation", "files"]
_NAMED = 4
"""Files that are named in a line; of more, how many there are."""
_COMMANDS = frozenset({"Bash", "Monitor"})


class Point(Struct, frozen=True, kw_only=True):
    """A prompt that can be gone back to, and what has happened since."""

    prompt: Prompted
    files: tuple[Path, ...]
    """Files that the tools have changed since."""
    commands: int
    """Commands that have run since: what they changed is not known."""


class Gone(Struct, frozen=True, kw_only=True):
    """Where the conversation has gone back to."""

    text: str
    """The prompt, to be typed again."""
    usage: Usage
    """Of the answer before it: how full the context was."""


async def rewind(
    assembled: Assembled,
    *,
    say: Callable[[str], None],
    give: Callable[[Rewrite], None],
    colour: bool = True,
) -> Gone | None:
    """Have the person go back. The agent must not be at work, and no other prompt be open.

    Args:
        assembled: the session.
        say: shows a line of what came of it.
        give: puts among the agent's prompts that the history is another.
        colour: whether colour is wanted.

    Returns:
        Where to; None where the conversation stays as it is.

    Raises:
        AprError: what is stored cannot be read.
    """
    if assembled.store is None or assembled.keeping is None:
        say("This session is not stored, so there is nothing to go back to.")
        return None
    checkpoints, root = assembled.keeping.checkpoints, assembled.agent.context.root
    found = points(load(assembled.store.path), checkpoints.changed())
    if not found:
        say("There is no prompt yet to go back to.")
        return None
    point = await _which(found, root, colour=colour)
    if point is None:
        return None
    steps = checkpoints.since(point.prompt.turn)
    what = await _what(steps, root, colour=colour) if steps else "conversation"
    if what is None:
        return None
    back: list[Step] = []
    if what != "conversation":
        chosen = await _chosen(steps, root, colour=colour)
        if chosen is None:
            return None
        back = _restored(checkpoints, chosen, root, say)
        if point.commands:
            say(f"What {_commands(point.commands)} may have changed is not known, and stays.")
    if what == "files":
        if back:
            assembled.agent.inbox.append(put_back(back))
        return None
    usage = _forget(assembled, point, give, stay=[s.path for s in steps if s not in back])
    say("The conversation is as it was before that prompt.")
    return Gone(text=point.prompt.text, usage=usage)


def points(stored: Stored, changes: Mapping[Path, Sequence[Change]]) -> list[Point]:
    """Return the prompts that can be gone back to, the last one first."""
    ran = _commands_run(stored.records)
    return [
        Point(
            prompt=prompt,
            files=tuple(path for path, all_ in changes.items() if _changed(all_, prompt.turn)),
            commands=sum(at > prompt.record for at in ran),
        )
        for prompt in reversed(stored.prompts)
    ]


def _changed(changes: Sequence[Change], turn: int) -> bool:
    """Whether a file is another than it was before a turn, as far as the tools know."""
    since = [change for change in changes if change.turn >= turn]
    return bool(since) and since[-1].after != since[0].before


def _commands_run(records: Sequence[Record]) -> list[int]:
    """Return where, among the records, a command has run: its result's place."""
    asked: set[str] = set()
    ran = []
    for at, record in enumerate(records):
        if isinstance(record, AssistantTurn):
            asked |= {
                block.id
                for block in record.blocks
                if isinstance(block, ToolUseBlock) and block.name in _COMMANDS
            }
        elif isinstance(record, ToolResult) and record.tool_use_id in asked:
            asked.discard(record.tool_use_id)
            if record.duration_ms is not None:  # it was not refused
                ran.append(at)
    return ran


async def _which(found: Sequence[Point], root: Path, *, colour: bool) -> Point | None:
    now = time.time()

    def note(point: Point) -> str:
        when = "" if point.prompt.at is None else ago(now - point.prompt.at)
        files = f"{_count(len(point.files), 'file')} changed since" if point.files else ""
        ran = f"{_commands(point.commands)} ran" if point.commands else ""
        return " · ".join(filter(None, [when, files, ran]))

    def preview(point: Point) -> list[str]:
        changed = [f"changed since: {_named(point.files, root)}"] if point.files else []
        return [*changed, *point.prompt.text.strip().splitlines()]

    return await pick(
        "Back to before which prompt?",
        [
            Choice(value=point, title=_first_line(point.prompt.text), note=note(point))
            for point in found
        ],
        preview=preview,
        colour=colour,
    )


async def _what(steps: Sequence[Step], root: Path, *, colour: bool) -> What | None:
    files = _named([step.path for step in steps], root)
    choices: list[Choice[What]] = [
        Choice(value="both", title="conversation and files", note=files),
        Choice(value="conversation", title="conversation only", note="the files stay as they are"),
        Choice(value="files", title="files only", note=files),
    ]
    return await pick("What is to be as it was?", choices, colour=colour)


async def _chosen(steps: Sequence[Step], root: Path, *, colour: bool) -> list[Step] | None:
    """Return the files that are to be put back: those of others only if the person wants that."""
    theirs = [step for step in steps if step.foreign and not step.obstacle]
    ours = [step for step in steps if step not in theirs]
    if not theirs:
        return ours
    named = _named([step.path for step in theirs], root)
    take = await pick(
        f"Not only the agent's tools have changed {named} since.",
        [
            Choice(value=False, title="leave as it is now"),
            Choice(value=True, title="put back all the same", note="what is there now is replaced"),
        ],
        preview=lambda _take: [_difference(step, root) for step in theirs],
        colour=colour,
    )
    if take is None:
        return None
    return [*ours, *theirs] if take else ours


def _difference(step: Step, root: Path) -> str:
    name = _name(step.path, root)
    if step.now.kind == "nothing":
        return f"{name}: is not there any more"
    if step.then.kind == "nothing":
        return f"{name}: was not there, and would go"
    return f"{name}: is another"


def _restored(
    checkpoints: Checkpoints, steps: Sequence[Step], root: Path, say: Callable[[str], None]
) -> list[Step]:
    """Put files back, say so, and return those that are."""
    failed = checkpoints.restore(steps)
    left = {step.path for step, _ in failed}
    back = [step for step in steps if step.path not in left]
    if back:
        say(f"As before: {_named([step.path for step in back], root)}")
    for step, why in failed:
        say(f"{_name(step.path, root)} stays as it is: {why}")
    return back


def _forget(
    assembled: Assembled, point: Point, give: Callable[[Rewrite], None], *, stay: Sequence[Path]
) -> Usage:
    """Have the conversation go on from before a prompt. `stay`: files that have changed since."""
    assert assembled.store is not None  # noqa: S101 - the point is from there
    turn, agent = point.prompt.turn, assembled.agent
    then = load(assembled.store.path, before=turn)
    agent.context.files.become(then.seen)
    assembled.tasks.replace(())
    replay(assembled.tasks, then.listing)
    if stay:
        names = _named(stay, agent.context.root)
        agent.inbox.append(
            f"The user has gone back to this point. What was changed since stays so: {names}"
        )
    give(Rewrite(f"/rewind {turn}", tuple(then.messages), back_to=turn))
    return _usage(then)


def _usage(then: Stored) -> Usage:
    """Return what the last answer of a history took; nothing where there is none."""
    for record in reversed(then.records) if then.messages else ():
        if isinstance(record, AssistantTurn) and record.parent_tool_use_id is None and record.usage:
            return record.usage
    return Usage(input_tokens=0, output_tokens=0)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _named(paths: Sequence[Path], root: Path) -> str:
    names = ", ".join(_name(path, root) for path in paths[:_NAMED])
    more = len(paths) - _NAMED
    return f"{names} and {more} more" if more > 0 else names


def _name(path: Path, root: Path) -> str:
    return legible(show(path, root))


def _commands(count: int) -> str:
    return _count(count, "command")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
