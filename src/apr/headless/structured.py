"""An answer in the form that a program wants: JSON of its schema, given by a call of a tool.

The model works as ever, and gives its answer with that tool when it is done. One that forgets is
reminded; an answer of another form is an error that it reads, and mends.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from apr.agent.parts import Brakes, GoingInCircles
from apr.assembly import Assembled
from apr.errors import AprError
from apr.structured import NotOfTheSchema, value_of
from apr.tools.base import Access, Context, Outcome, Verbatim
from apr.tools.errors import ToolError
from apr.ui.result import NO_STRUCTURE, STRUCTURED
from ccpa.trace import AssistantTurn, ToolResult, ToolUseBlock

MOST_REMINDERS = 5
_REMINDER = f"Give your answer with the tool {STRUCTURED}, whose input is the form it must have."


class StructuredOutput:
    """Takes the answer."""

    name: ClassVar[str] = STRUCTURED
    description: ClassVar[str] = (
        "Give your final answer in the form that is asked for. Call it once, when you are done."
    )
    Input = Verbatim
    read_only: ClassVar[bool] = False

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema

    def access(self, call: Verbatim, context: Context) -> Access:
        """Nothing."""
        return Access(kind="none")

    async def run(self, call: Verbatim, context: Context) -> Outcome:
        """See that it is of the schema."""
        try:
            value_of(msgspec.json.encode(call.arguments).decode(), self.schema, cut=False)
        except NotOfTheSchema as error:
            raise ToolError(str(error)) from None
        return Outcome(content="The answer is taken. Say in a few words that you are done.")


class Demanding:
    """Brakes that also see to it that the answer is given."""

    def __init__(self, inner: Brakes | None) -> None:
        self._inner = inner
        self.begin()

    def begin(self) -> None:
        """Begin anew; see `Brakes.begin`."""
        self._given = False
        self._reminders = 0
        if self._inner is not None:
            self._inner.begin()

    def turn(self, turn: AssistantTurn, results: Sequence[ToolResult]) -> str | None:
        """See `Brakes.turn`."""
        answers = {
            b.id for b in turn.blocks if isinstance(b, ToolUseBlock) and b.name == STRUCTURED
        }
        self._given |= any(result.ok and result.tool_use_id in answers for result in results)
        return self._inner.turn(turn, results) if self._inner is not None else None

    def answer(self, turn: AssistantTurn) -> str | None:
        """Remind the model, if it ends without the answer; see `Brakes.answer`."""
        if self._inner is not None and (nudge := self._inner.answer(turn)):
            return nudge
        if self._given:
            return None
        if self._reminders == MOST_REMINDERS:
            raise GoingInCircles(f"{NO_STRUCTURE}: reminded {MOST_REMINDERS} times, in vain")
        self._reminders += 1
        return _REMINDER


def demand(assembled: Assembled, schema: dict[str, Any]) -> None:
    """Have the session give its answers in the form of a schema.

    Raises:
        AprError: no tool can have such an input.
    """
    if schema.get("type", "object") != "object":
        raise AprError("--json-schema: the answer must be of type object")
    assembled.offered.append(StructuredOutput(schema))
    assembled.agent.brakes = Demanding(assembled.agent.brakes)
