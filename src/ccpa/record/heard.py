"""What the wires have in common for someone who listens: an answer, and the results of its calls.

Requests are read by the wires of `ccpa.scripted`; a module of this package adds to each what a
server need not know: the contents of results, and how an answer is put together again.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from ccpa.importers.notes import Notes
from ccpa.importers.values import JsonObject
from ccpa.trace import Block, Usage


class Heard(Struct, frozen=True, kw_only=True):
    """An answer of a model, as it went by. `stop` is why it ended, in the provider's words."""

    blocks: list[Block]
    stop: str | None
    usage: Usage | None
    model: str | None


class Told(Struct, frozen=True):
    """A result that a model was given. `failed` is None where the wire does not say."""

    use: str
    content: str
    failed: bool | None = None
    exit_code: int | None = None


class Listener(Protocol):
    """What the module of a wire offers."""

    def results(self, body: JsonObject) -> list[Told]:
        """Return all results in a request, in order."""

    def ends(self, event: JsonObject | None) -> bool:
        """Say whether an event of a stream is its answer's last. None stands for `[DONE]`."""

    def whole(self, events: Sequence[JsonObject]) -> JsonObject | None:
        """Put the events of a stream together to what the whole answer is; None if it broke off."""

    def heard(self, answer: JsonObject, notes: Notes) -> Heard | None:
        """Read a whole answer; None if it is none."""
