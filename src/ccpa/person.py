"""The person of a recording: what they said when an agent asked them.

A recording shows their words where it shows what became of a tool use: one that they declined is
`denied_by` them, with what they said; the result of AskUserQuestion holds what they chose. All else
that the teacher could do, they allowed, or were not asked.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from ccpa.trace import AssistantTurn, Record, ToolResult, ToolUseBlock

ASKS = "AskUserQuestion"
_SAID = re.compile(r"\A\s*(?:The )?user(?: has)? answered[^:\n]*:\s*", re.IGNORECASE)


class Allowed(Struct, frozen=True):
    """They agree. `answers` are theirs by question, where it is they who were asked something."""

    answers: Mapping[str, str] = {}


class Declined(Struct, frozen=True):
    """They do not; `words` is why, or what to do instead."""

    words: str


Reply = Allowed | Declined


class Person(Struct, frozen=True):
    """What they say to each tool use, by its id. To one that is not recorded they say no."""

    replies: Mapping[str, Reply]

    @classmethod
    def of(cls, records: Iterable[Record]) -> "Person":
        """Return the person of a recording."""
        blocks: dict[str, ToolUseBlock] = {}
        replies: dict[str, Reply] = {}
        for record in records:
            if isinstance(record, AssistantTurn):
                blocks |= {b.id: b for b in record.blocks if isinstance(b, ToolUseBlock)}
            elif isinstance(record, ToolResult) and record.tool_use_id in blocks:
                replies[record.tool_use_id] = _reply(blocks[record.tool_use_id], record)
        return cls(replies)

    def reply(self, tool_use_id: str) -> Reply:
        """Return what they say to a tool use."""
        return self.replies.get(tool_use_id, Declined("The recording does not have this."))


def _reply(block: ToolUseBlock, result: ToolResult) -> Reply:
    if result.denied_by == "user":
        return Declined(result.content)
    if result.denied_by is not None:
        return Declined("In the recording nobody was asked this.")
    return Allowed(answers(block.input, result.content) if block.name == ASKS else {})


def answers(asked: Mapping[str, Any], content: str) -> dict[str, str]:
    """Return what was answered to AskUserQuestion, by question, as its result tells it.

    Of the labels to choose from, those that stand in the result were chosen (of two that begin
    alike, the longer); where none does, the person has said something of their own.
    """
    questions = [one for one in _list(asked.get("questions")) if isinstance(one, dict)]
    texts = [str(one.get("question", "")) for one in questions]
    found: dict[str, str] = {}
    for question, text in zip(questions, texts, strict=True):
        part = _part(content, text, texts)
        options = [one for one in _list(question.get("options")) if isinstance(one, dict)]
        labels = [label for one in options if (label := str(one.get("label", "")))]
        found[text] = ", ".join(_chosen(part, labels)) or _SAID.sub("", part).strip()
    return found


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _part(content: str, question: str, others: list[str]) -> str:
    """Return what stands between a question and the next one; all of it where none is repeated."""
    _, repeated, rest = content.partition(question) if question else ("", "", "")
    if not repeated:
        return content
    ends = [at for other in others if other not in {question, ""} and (at := rest.find(other)) >= 0]
    return rest[: min(ends, default=len(rest))].strip(' \n"=:-')


def _chosen(part: str, labels: list[str]) -> list[str]:
    chosen = []
    for label in sorted(labels, key=len, reverse=True):
        if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", part):
            chosen.append(label)
            part = part.replace(label, " ")
    return sorted(chosen, key=labels.index)
