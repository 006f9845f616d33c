"""Whose turn is it? Which conversation a request belongs to, and whether it may have the next turn.

A request is its conversation's next call if its history holds what the conversation has said so far
and the results of all tool uses in that, and nothing else. Anything else is answered with an error
and is a finding. The rules:

- A tool use id in the history names the conversation: ids are unique, and only this server gave
  them out. Else the first prompt does: the one that this conversation began with, or the recorded
  one, whole or within more text (agents put their surroundings around it); the longest one that
  fits. A main conversation whose recorded prompt is a command (`/name`) may begin with any prompt,
  since the model gets what the command stands for; so may a subagent whose prompt the recording
  does not hold.
- Where the history was summarised, by a request on the side or in the recording, what was said
  before need not be in it any more.
- The same request may come again if its answer did not arrive in full; then it gets the same turn.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct

from ccpa.scripted.script import MAIN, Conversation, Script
from ccpa.scripted.wire import Asked, Entry, Prompt, Results, Said
from ccpa.trace import AssistantTurn, ToolUseBlock


class Finding(Struct, frozen=True):
    """A call too many or too few. `conversation` is empty where a call belongs to none."""

    category: Literal["extraneous_llm_call", "missing_llm_call"]
    conversation: str
    detail: str


class Refused(Struct, frozen=True):
    """Why a request gets no turn."""

    conversation: str
    detail: str


class _Stage(Struct):
    """How far a conversation has come."""

    number: int
    conversation: Conversation
    prompts: tuple[str, ...]
    """Its recorded prompt, as recorded and as the run spells paths; empty where there is none."""
    said: int = 0
    summarised: int = 0
    """How many turns were said when the history was last summarised."""
    opening: tuple[str, ...] = ()
    history: tuple[Entry, ...] = ()
    """What the last turn was asked for with."""
    arrived: bool | None = True
    """Whether the last answer did. None: it was not sent to its end. False: it was spoiled."""


class Taken(Struct, frozen=True):
    """A turn that was given to a request: number `position` of its conversation, from 0."""

    stage: _Stage
    position: int
    turn: AssistantTurn

    @property
    def conversation(self) -> str:
        """The conversation's name."""
        return self.stage.conversation.name

    @property
    def key(self) -> str:
        """A name for the answer that is the same in every run."""
        return f"{self.stage.number}_{self.position}"


class Play:
    """A script, and how far it has been said."""

    def __init__(self, script: Script, spelled: Callable[[str], str]) -> None:
        self._checked = script.checked
        self._stages = [
            _Stage(number, conversation, _prompts(conversation, spelled), conversation.said)
            for number, conversation in enumerate(script.conversations)
        ]
        self._owners = {
            id_: stage
            for stage in self._stages
            for id_ in _ids(stage, 0, len(stage.conversation.turns))
        }
        self.extraneous: list[Finding] = []

    @property
    def prompts(self) -> list[str]:
        """The first prompts of all conversations, longest first."""
        known = {prompt for stage in self._stages for prompt in stage.prompts}
        return sorted(known, key=len, reverse=True)

    def take(self, asked: Asked) -> Taken | Refused:
        """Give a request its turn, or say why it gets none, which is then a finding."""
        stage = self._whose(asked) if self._checked else self._stages[0]
        if stage is None:
            return self._refuse("", "this prompt is not in the recording: no conversation has it")
        position = stage.said
        problem = self._problem(stage, asked, position)
        if problem and stage.arrived is not True and not self._problem(stage, asked, position - 1):
            position, problem = position - 1, None
        if problem:
            return self._refuse(stage.conversation.name, problem)
        if position == 0:
            stage.opening = asked.opening
        stage.history = asked.history
        stage.said = position + 1
        stage.arrived = None if self._checked else True
        return Taken(stage, position, stage.conversation.turns[position])

    def arrived(self, taken: Taken) -> None:
        """Note that an answer was sent to its end."""
        if taken.position == taken.stage.said - 1:
            taken.stage.arrived = True

    def spoiled(self, taken: Taken) -> None:
        """Note that an answer was spoiled on purpose: its turn is not said yet."""
        if self._checked:
            taken.stage.arrived = False
        else:
            taken.stage.said -= 1

    def summarise(self, asked: Asked) -> str | None:
        """Note that the history of the request's conversation is summarised; return its prompt."""
        stage = self._whose(asked)
        if stage is None:
            return None
        stage.summarised = stage.said
        return stage.prompts[-1] if stage.prompts else None

    def missing(self) -> list[Finding]:
        """Return a finding for each turn that nobody has asked for, or got, yet."""
        return [
            Finding(
                "missing_llm_call", stage.conversation.name, f"{_label(turn)} was not asked for"
            )
            for stage in self._stages
            for turn in stage.conversation.turns[stage.said - (stage.arrived is False) :]
        ]

    def _refuse(self, conversation: str, detail: str) -> Refused:
        self.extraneous.append(Finding("extraneous_llm_call", conversation, detail))
        return Refused(conversation, detail)

    def _whose(self, asked: Asked) -> _Stage | None:
        return next(filter(None, self._candidates(asked)), None)

    def _candidates(self, asked: Asked) -> Iterator[_Stage | None]:
        """Yield whose request it may be, the surest first."""
        said = [id_ for e in reversed(asked.history) if isinstance(e, Said) for id_ in e.ids]
        yield from (self._owners.get(id_) for id_ in said)
        same = [s for s in self._stages if s.said and s.opening == asked.opening]
        going_on = (stage for stage in same if stage.said < len(stage.conversation.turns))
        if any(isinstance(entry, Said) for entry in asked.history):
            yield from going_on
        yield _by_prompt(self._stages, asked.opening)
        yield from same
        later = [p for e in asked.history if isinstance(e, Prompt) for p in e.parts]
        yield _by_prompt(self._stages, tuple(later))
        if asked.tools:
            yield from (s for s in self._stages if not s.said and _begins_with_anything(s))

    def _problem(self, stage: _Stage, asked: Asked, position: int) -> str | None:
        """Say what is wrong with a request that asks for the turn at `position`, if anything is."""
        turns = stage.conversation.turns
        if not self._checked or position < 0:
            return _at_end(turns, position)
        if position and position == stage.said and asked.history == stage.history:
            return "the same request again: it was answered already"
        results = [id_ for e in asked.history if isinstance(e, Results) for id_ in e.ids]
        calls = {id_ for e in asked.history if isinstance(e, Said) for id_ in e.ids}
        answered = Counter(results)
        compacted = [at for at in stage.conversation.compacted if at <= position]
        kept = max(stage.summarised, *compacted, 0)
        due = _ids(stage, kept, position)
        if missing := [f"{id_} ({name})" for id_, name in due.items() if id_ not in answered]:
            return f"too early: no result in the history for {', '.join(missing)}"
        if odd := sorted(answered.keys() - calls):
            return f"results of calls that are not in the history: {', '.join(odd)}"
        if twice := sorted(id_ for id_, times in answered.items() if times > 1):
            return f"more than one result for {', '.join(twice)}"
        if early := sorted(answered.keys() & _ids(stage, position, len(turns)).keys()):
            return f"out of order: results of calls that were not made yet: {', '.join(early)}"
        if problem := _at_end(turns, position):
            return problem
        quiet = position > kept and not _ids(stage, position - 1, position)
        if quiet and not any(isinstance(entry, Prompt) for entry in asked.tail):
            return f"{_label(turns[position - 1])} called no tool, and no prompt came after it"
        return None


def _prompts(conversation: Conversation, spelled: Callable[[str], str]) -> tuple[str, ...]:
    prompt = (conversation.prompt or "").strip()
    return tuple(dict.fromkeys((prompt, spelled(prompt)))) if prompt else ()


def _by_prompt(stages: list[_Stage], parts: tuple[str, ...]) -> _Stage | None:
    """Return the conversation whose prompt is in the texts.

    A whole text goes before a part of one, a longer prompt before a shorter one, and of two with
    the same prompt the one that has not begun.
    """
    best: tuple[tuple[bool, int, bool], _Stage] | None = None
    for stage in stages:
        for prompt in stage.prompts:
            within = [part for part in parts if prompt in part]
            if within:
                whole = any(part.strip() == prompt for part in within)
                rank = (whole, len(prompt), not stage.said)
                if best is None or rank > best[0]:
                    best = rank, stage
    return best[1] if best else None


def _begins_with_anything(stage: _Stage) -> bool:
    is_main = stage.conversation.name == MAIN
    return not stage.prompts or (is_main and stage.prompts[0].startswith("/"))


def _ids(stage: _Stage, start: int, end: int) -> dict[str, str]:
    """Return the tool uses of some turns: their ids, and the names of the tools."""
    return {
        block.id: block.name
        for turn in stage.conversation.turns[start:end]
        for block in turn.blocks
        if isinstance(block, ToolUseBlock)
    }


def _at_end(turns: tuple[AssistantTurn, ...], position: int) -> str | None:
    if 0 <= position < len(turns):
        return None
    return "the script is at its end: this call is not in the recording"


def _label(turn: AssistantTurn) -> str:
    names = [block.name for block in turn.blocks if isinstance(block, ToolUseBlock)]
    return f"turn {turn.turn} ({', '.join(names)})" if names else f"turn {turn.turn}"
