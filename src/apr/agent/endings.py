"""How the work on a prompt ends: the model is done with it, or something puts an end to it."""

from apr.agent.events import PromptDone
from apr.agent.limits import MAX_TOKENS, TIME_IS_UP, LimitReached
from apr.agent.parts import GoingInCircles
from apr.providers.base import ProviderError
from ccpa.trace import AssistantTurn

INTERRUPTED = "interrupted"
CUT_SHORT = {
    INTERRUPTED: "Interrupted by the user before it was done.",
    TIME_IS_UP: "The time of the session was up before it was done.",
}
"""By why the work ends: what the model is told of a call."""


class Stopped(Exception):
    """A hook or a person has ended the run."""


FAILURES = (ProviderError, LimitReached, GoingInCircles, Stopped)
"""What ends the work on one prompt, and nothing else."""


def failed(failure: Exception) -> PromptDone:
    """Return how the work has ended that one of the above has put an end to."""
    full = isinstance(failure, LimitReached) and failure.kind == MAX_TOKENS
    return PromptDone("max_tokens" if full else "error", str(failure))


def answered(turn: AssistantTurn) -> PromptDone:
    """Return how the work has ended if this answer is the last."""
    return PromptDone("end_turn" if turn.stop_reason == "tool_use" else turn.stop_reason)
