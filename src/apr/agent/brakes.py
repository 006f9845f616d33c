"""Notices a model that goes in circles, tells it so, and ends the run if it goes on.

Small models fall into loops: the same call again and again, or a few calls in turn. What repeats is
compared with its result: the same call with another result is work (waiting for a build, say). So
is the same call after something new has happened: a check after every change.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from apr.agent.parts import GoingInCircles
from ccpa.trace import AssistantTurn, TextBlock, ToolResult, ToolUseBlock

WARN_AT = 3
"""Times that a turn is there, with the same results and nothing new, when the model is told."""
END_AT = 6
"""Times that a turn is there when the run ends."""
FAILURES = 10
"""Turns one after another in which every call fails, whatever they are, when the model is told."""
MOST_FAILURES = 20
"""The same, when the run ends."""
MOST_EMPTY = 2
"""Empty answers one after another that it is asked to mend."""

_CIRCLE = (
    "You have made this call {times} times with the same result. Repeating it changes nothing: "
    "do something else, or say what keeps you from going on."
)
_FAILING = (
    "Your last {times} turns had only failing calls. Read the messages, try another way, or say "
    "what keeps you from going on."
)
_EMPTY = "Your answer was empty. Go on with the task, or say in a sentence what came of it."


class Repetition:
    """The brakes of one conversation."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin anew; see `Brakes.begin`. Who asks for the same again is to get it."""
        self._times: Counter[bytes] = Counter()
        self._failures = 0
        self._empty = 0

    def turn(self, turn: AssistantTurn, results: Sequence[ToolResult]) -> str | None:
        """Take a turn into account; see `Brakes.turn`."""
        self._empty = 0
        seen = _digest(turn, results)
        if seen not in self._times:
            self._times = Counter(dict.fromkeys(self._times, 0))
        self._times[seen] += 1
        times = self._times[seen]
        self._failures = 0 if any(result.ok for result in results) else self._failures + 1
        if times >= END_AT:
            raise GoingInCircles(
                f"going in circles: the model made the same call {times} times with the same "
                "result, and did nothing new in between"
            )
        if self._failures >= MOST_FAILURES:
            raise GoingInCircles(
                f"going in circles: every call of the model's last {self._failures} turns failed"
            )
        if times >= WARN_AT:
            return _CIRCLE.format(times=times)
        if self._failures == FAILURES:
            return _FAILING.format(times=self._failures)
        return None

    def answer(self, turn: AssistantTurn) -> str | None:
        """Take an answer without calls into account; see `Brakes.answer`."""
        said = any(isinstance(b, TextBlock) and b.text.strip() for b in turn.blocks)
        if said or turn.stop_reason == "max_tokens":
            self._empty = 0
            return None
        self._empty += 1
        if self._empty > MOST_EMPTY:
            raise GoingInCircles(f"the model has answered with nothing {self._empty} times")
        return _EMPTY


def _digest(turn: AssistantTurn, results: Sequence[ToolResult]) -> bytes:
    calls = [(b.name, b.input) for b in turn.blocks if isinstance(b, ToolUseBlock)]
    came_to = [(result.ok, result.content) for result in results]
    return hashlib.sha256(msgspec.json.encode([calls, came_to], order="deterministic")).digest()
