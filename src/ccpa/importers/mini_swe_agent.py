"""Trajectories of mini-swe-agent: what it saves as `.traj.json`, of versions 1 and 2.

The agent has one tool, a shell. The model calls it as a tool, or writes its command in a fenced
block of text; the observation is the next message. Ids of tool uses that the format lacks are made
of the message's number.
"""

import re
from typing import Any

from ccpa.errors import CcpaError
from ccpa.importers import openai_chat, openai_responses
from ccpa.importers.notes import Notes
from ccpa.importers.reading import Source, documents
from ccpa.importers.session import About, Imported, Session
from ccpa.importers.values import (
    JsonObject,
    effects,
    exit_code,
    obj,
    objects,
    rendered,
    text,
    utc_time,
)
from ccpa.trace import Block, TextBlock, ThinkingBlock, ToolUseBlock

TOOL_NAMES = {"bash": "Bash"}
"""The trace's name for the agent's one tool, whose input is the same."""

_FENCED = re.compile(r"```(?:bash|sh|mswea_bash_command)\s*\n(.*?)\n```", re.DOTALL)
_RETURN_CODE = re.compile(r"<returncode>(-?\d{1,9})</returncode>")
_SUBMITTED = "Submitted"


def read(source: Source, notes: Notes) -> list[Imported]:
    """Read the sessions of a file: one trajectory, or one a line; its messages alone will do.

    Raises:
        CcpaError: there is no trajectory in it.
        OSError: it could not be read.
    """
    values = documents(source, notes)
    found = [{"messages": one} if isinstance(one, list) else obj(one) for one in values]
    trajectories = [one for one in found if objects(one.get("messages"))]
    if not trajectories:
        raise CcpaError(f"{source.name}: no trajectory of mini-swe-agent: it has no messages")
    return [_session(one, notes) for one in trajectories]


def _session(top: JsonObject, notes: Notes) -> Imported:
    messages, info = objects(top.get("messages")), obj(top.get("info"))
    session = Session(_about(top, info, messages), notes)
    teller = _Teller(session, notes)
    for number, message in enumerate(messages):
        teller.tell(number, message)
    _end(session, info, messages[-1])
    return session.finish()


def _about(top: JsonObject, info: JsonObject, messages: list[JsonObject]) -> About:
    config = obj(info.get("config"))
    times = (utc_time(obj(message.get("extra")).get("timestamp")) for message in messages)
    return About(
        actor="mini-swe-agent",
        original_id=text(top.get("instance_id")),
        ts=next((time for time in times if time), None),
        model=text(obj(config.get("model")).get("model_name")),
        agent_version=text(info.get("mini_version")),
        cwd=text(obj(config.get("environment")).get("cwd")),
        permission_mode=text(obj(config.get("agent")).get("mode")),
    )


def _end(session: Session, info: JsonObject, last: JsonObject) -> None:
    """End the session with its exit status; without one it was still running."""
    extra = obj(last.get("extra"))
    status = text(info.get("exit_status")) or text(extra.get("exit_status"))
    if status is None:
        return
    cost: Any = obj(info.get("model_stats")).get("instance_cost")
    known = isinstance(cost, int | float) and not isinstance(cost, bool) and cost >= 0
    done = status == _SUBMITTED
    reason = text(extra.get("exception_str"))
    session.end(
        "end_turn" if done else "error",
        error=None if done else f"{status}: {reason}" if reason else status,
        cost_usd=float(cost) if known else None,
    )


class _Teller:
    def __init__(self, session: Session, notes: Notes) -> None:
        self.session = session
        self.notes = notes
        self.open: list[str] = []
        """The tool uses whose observations are still to come, in order."""

    def tell(self, number: int, message: JsonObject) -> None:
        role = message.get("role")
        if role == "assistant" or message.get("object") == "response":
            self._answer(number, message)
        elif role == "tool" or message.get("type") == "function_call_output":
            use = text(message.get("tool_call_id")) or text(message.get("call_id")) or ""
            self._observation(use, message)
        elif role == "user":
            if self.open and "interrupt_type" not in obj(message.get("extra")):
                self._observation(self.open[0], message)
            else:
                self.session.prompt(rendered(message.get("content")))
        elif role not in ("system", "exit"):
            self.notes.meet("role", role)

    def _answer(self, number: int, message: JsonObject) -> None:
        extra = obj(message.get("extra"))
        response = obj(extra.get("response"))
        if message.get("object") == "response":
            blocks, response = _response_blocks(message), message
        else:
            blocks = openai_chat.blocks(message)
        calls = [block for block in blocks if isinstance(block, ToolUseBlock)]
        if not calls:
            calls = _written_calls(number, rendered(message.get("content")), extra)
            blocks += calls
        for call in calls:
            call.name = TOOL_NAMES.get(call.name, call.name)
        self.open = [call.id for call in calls]
        self.session.answer(
            blocks,
            usage=openai_chat.usage(response.get("usage")),
            model=text(response.get("model")),
        )

    def _observation(self, use: str, message: JsonObject) -> None:
        if use in self.open:
            self.open.remove(use)
        extra = obj(message.get("extra"))
        content = rendered(message.get("output", message.get("content")))
        code = exit_code(extra.get("returncode"))
        if code is None and (found := _RETURN_CODE.search(content[:500])):
            code = exit_code(int(found[1]))
        ok = code in (None, 0) and not extra.get("exception_info")
        self.session.result(use, content, ok=ok, side_effects=effects(code=code))


def _response_blocks(message: JsonObject) -> list[Block]:
    made: list[Block] = []
    for item in objects(message.get("output")):
        match item.get("type"):
            case "reasoning":
                if words := openai_responses.reasoning(item):
                    made.append(ThinkingBlock(words))
            case "message":
                made.append(TextBlock(rendered(item.get("content"))))
            case "function_call":
                name = text(item.get("name")) or ""
                use = text(item.get("call_id")) or text(item.get("id")) or name
                made.append(ToolUseBlock(use, name, openai_chat.tool_input(item.get("arguments"))))
    return made


def _written_calls(number: int, words: str, extra: JsonObject) -> list[ToolUseBlock]:
    """Return the commands of an answer that calls no tool.

    Newer versions keep what they read from the text. Older ones ran a command only where there was
    exactly one block of it.
    """
    commands = [text(action.get("command")) for action in objects(extra.get("actions"))]
    if not commands:
        fenced: list[str] = _FENCED.findall(words)
        commands = [fenced[0].strip()] if len(fenced) == 1 else []
    return [
        ToolUseBlock(f"message_{number}_action_{at}", "bash", {"command": command})
        for at, command in enumerate(commands)
        if command
    ]
