"""Sessions taken up at a terminal: which one, and where it stopped."""

import datetime
import time
from collections.abc import Sequence
from pathlib import Path

from apr.agent.events import TextDelta
from apr.sessions.ending import tail
from apr.sessions.places import SessionError, refuse_held
from apr.sessions.searching import passage
from apr.sessions.summary import Summary, summaries
from apr.terminal.picker import PREVIEW, Choice, pick
from apr.terminal.screen import Screen
from apr.ui.amounts import ago
from apr.ui.text import summary as call_in_a_line
from ccpa.trace import AssistantTurn, Record, TextBlock, ToolResult, ToolUseBlock, UserPrompt

_DIM = "\x1b[2m"
_MESSAGES = (UserPrompt, AssistantTurn, ToolResult)


async def choose(
    root: Path, *, but: str | None = None, copy: bool = False, colour: bool = True
) -> str | None:
    """Have the person choose a session of a project; no other prompt may be open.

    Args:
        root: the project.
        but: the id of a session that is not offered: they are in it.
        copy: whether they go on in a copy of it.
        colour: whether colour is wanted.

    Returns:
        Its id; None where they want none.

    Raises:
        SessionError: there is none, or another process works on it, and it is not for a copy.
    """
    found = [one for one in summaries(root) if isinstance(one, Summary) and one.id != but]
    if not found:
        other = "other session" if but is not None else "session"
        raise SessionError(f"there is no {other} of {root} to go on with")

    def deeper(text: str) -> list[bool]:
        return [_mentions(one, text) for one in found]

    chosen = await pick(
        "Which session?",
        [_choice(one) for one in found],
        preview=lambda one: told(tail(Path(one.path))),
        deeper=deeper,
        colour=colour,
    )
    if chosen is None:
        return None
    if not copy:
        refuse_held(Path(chosen.path))
    return chosen.id


def show_ending(screen: Screen, records: Sequence[Record]) -> None:
    """Show where a session stopped: its last prompt, and what came of it."""
    for record in records:
        match record:
            case UserPrompt(text=text):
                screen.say(f"> {text}")
            case AssistantTurn(blocks=blocks):
                for block in blocks:
                    if isinstance(block, TextBlock):
                        screen(TextDelta(block.text))
                screen(record)
                for block in blocks:
                    if isinstance(block, ToolUseBlock):
                        screen.say(f"● {call_in_a_line(block)}")
            case ToolResult(ok=False):
                screen(record)
            case _:
                pass
    said = [record for record in records if isinstance(record, _MESSAGES)]
    if said and not isinstance(said[-1], AssistantTurn):
        screen.say("It stopped here.", _DIM)
    screen.doing = ""


def told(records: Sequence[Record]) -> list[str]:
    """Return the end of a session in a few lines: the last prompt, the last of what followed."""
    asked: list[str] = []
    lines: list[str] = []
    for record in records:
        match record:
            case UserPrompt(text=text):
                asked = [f"> {text.strip().partition(chr(10))[0]}"]
            case AssistantTurn(blocks=blocks):
                for block in blocks:
                    if isinstance(block, TextBlock):
                        lines += [said for said in block.text.splitlines() if said.strip()]
                    elif isinstance(block, ToolUseBlock):
                        lines.append(f"● {call_in_a_line(block)}")
            case _:
                pass
    return [*asked, *lines[-(PREVIEW - 1) :]]


def _choice(one: Summary) -> Choice[Summary]:
    changed = datetime.datetime.fromisoformat(one.changed).timestamp()
    answers = f"{one.turns} answer{'' if one.turns == 1 else 's'}"
    notes = [ago(time.time() - changed), answers, one.branch]
    return Choice(
        value=one,
        title=one.title.strip().partition("\n")[0],
        note=" · ".join(filter(None, notes)),
        search=f"{one.id} {one.first_prompt}",
    )


def _mentions(one: Summary, text: str) -> bool:
    try:
        return passage(Path(one.path), text) is not None
    except SessionError:
        return False
