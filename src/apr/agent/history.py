"""The conversation as models take it: every call is answered, and no two prompts are neighbours."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from apr.agent.calls import Ran, Refused, report
from apr.providers.base import Image, Message, ToolAnswer, ToolMessage, UserMessage
from ccpa.trace import ToolResult, ToolUseBlock


class Answers:
    """The answers to the calls of one turn, as far as there are any.

    Args:
        turn: the number of the message that they make.
        calls: what the model asked for.
        root: where the session was started: the records tell paths from there, also those of a
            subagent that works elsewhere.
    """

    def __init__(self, turn: int, calls: Sequence[ToolUseBlock], root: Path) -> None:
        self.turn = turn
        self.results: dict[str, ToolResult] = {}
        self.told: dict[str, str] = {}
        """By id, the whole answer for the model: the result, and what hooks and notes add."""
        self._images: dict[str, tuple[Image, ...]] = {}
        self._calls = calls
        self._root = root

    def add(self, call: ToolUseBlock, came_to: Ran | Refused) -> ToolResult:
        """Answer a call, and return the record of it."""
        result = report(self.turn, call, came_to, self._root)
        self.results[call.id] = result
        self.told[call.id] = result.content
        if isinstance(came_to, Ran):
            self._images[call.id] = came_to.outcome.images
        return result

    def rest(self, why: str) -> Iterator[ToolResult]:
        """Refuse, for one reason, every call that has no answer yet."""
        for call in self._calls:
            if call.id not in self.results:
                yield self.add(call, Refused(why))

    def ordered(self) -> list[ToolResult]:
        """Return the results in the order of the calls."""
        return [self.results[call.id] for call in self._calls]

    def message(self, besides: Sequence[str] = ()) -> ToolMessage:
        """Return the message for the model. `besides` is what it reads behind the last answer."""
        last = self._calls[-1].id
        return ToolMessage(
            tuple(
                ToolAnswer(
                    call.id,
                    call.name,
                    "\n\n".join([self.told[call.id], *(besides if call.id == last else ())]),
                    self.results[call.id].ok,
                    self._images.get(call.id, ()),
                )
                for call in self._calls
            )
        )


def alternating(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return the messages with neighbouring prompts in one: chat templates may refuse two.

    A prompt whose answer failed, and the one after it, stand next to each other.
    """
    joined: list[Message] = []
    for message in messages:
        before = joined[-1] if joined else None
        if isinstance(before, UserMessage) and isinstance(message, UserMessage):
            images = (*before.images, *message.images)
            joined[-1] = UserMessage(f"{before.text}\n\n{message.text}", images)
        else:
            joined.append(message)
    return tuple(joined)
