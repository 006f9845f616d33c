"""What a model's output comes to: text, reasoning and calls, in order, with nothing lost."""

from typing import Any

from msgspec import Struct

from apr.agent.events import TextDelta, ThinkingDelta

Delta = TextDelta | ThinkingDelta

INVALID = "invalid"
"""The name of a call that has none."""


class Text(Struct, frozen=True):
    """Text of the answer. White space next to a call or to reasoning is in `raw` only."""

    text: str
    raw: str


class Thinking(Struct, frozen=True):
    """Reasoning; `raw` has its tags too."""

    text: str
    raw: str


class Call(Struct, frozen=True):
    """A tool call. With a `reason` it must not run: the reason is the answer to the model.

    `name` is "invalid" and `input` is {"raw": ...} where they could not be read. Of several calls
    in one pair of tags the first has the `raw` of all.
    """

    name: str
    input: dict[str, Any]
    raw: str
    reason: str | None = None


Piece = Text | Thinking | Call


class Transcript:
    """Collects the pieces, and says what of them can be shown already."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._deltas: list[Delta] = []
        self._kind: type[Delta] = TextDelta
        self._raw: list[str] = []
        self._shown: list[str] = []
        self._blanks: list[str] = []

    def take(self) -> list[Delta]:
        """Return what there is to show since the last time."""
        deltas, self._deltas = self._deltas, []
        return deltas

    def text(self, raw: str) -> None:
        """Add to the answer. Trailing white space is held back: it is dropped before a call."""
        self._add(raw)

    def hide(self, raw: str) -> None:
        """Take marks that are never shown into the current piece."""
        self._raw.append(raw)

    def stop(self, raw: str) -> None:
        """Take the model's sign that it is done: shown only if text follows it after all."""
        self._raw.append(raw)
        self._blanks.append(raw)

    def end(self) -> None:
        """End the output."""
        self._blanks = [blank for blank in self._blanks if blank.isspace()]
        self.close(trim=False)

    def open_thinking(self, tag: str) -> None:
        """Begin reasoning."""
        self.close(trim=True)
        self._kind = ThinkingDelta
        self._raw.append(tag)

    def think(self, raw: str) -> None:
        """Add to the reasoning."""
        self._add(raw)

    def close_thinking(self, tag: str) -> None:
        """End reasoning that was opened; else all so far turns out to have been reasoning.

        Templates that open the reasoning in the prompt leave only its end in the output.
        """
        if self._kind is ThinkingDelta:
            self._raw.append(tag)
            self.close(trim=True)
            return
        self.close(trim=False)
        raw = "".join(piece.raw for piece in self.pieces)
        self.pieces = [Thinking(raw.strip(), raw + tag)]

    def calls(self, calls: list[Call]) -> None:
        """Add calls."""
        self.close(trim=True)
        self.pieces += calls

    def close(self, *, trim: bool) -> None:
        """End the current piece, without its trailing white space if `trim`."""
        if not trim and self._blanks:
            self._show("".join(self._blanks))
        if self._raw:
            piece = Text if self._kind is TextDelta else Thinking
            self.pieces.append(piece("".join(self._shown), "".join(self._raw)))
        self._kind, self._raw, self._shown, self._blanks = TextDelta, [], [], []

    def _add(self, raw: str) -> None:
        self._raw.append(raw)
        if not self._shown and (self.pieces or self._kind is ThinkingDelta):
            raw = raw.lstrip()
        body = raw.rstrip()
        if body:
            self._show("".join(self._blanks) + body)
            self._blanks = []
        if len(raw) > len(body):
            self._blanks.append(raw[len(body) :])

    def _show(self, text: str) -> None:
        self._shown.append(text)
        self._deltas.append(self._kind(text))
