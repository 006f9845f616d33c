"""What memory is made of, and the text that a model gets of it. Pure."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

Kind = Literal["managed", "user", "project", "local"]

BUDGET = 40_000
"""Characters of instructions that the model is given at the start: about 10,000 tokens."""

_OPENING = (
    "Instructions for this work, the most general first. Follow them; where two disagree, the "
    "later one counts."
)


class Piece(Struct, frozen=True, kw_only=True):
    """One instruction file."""

    path: Path
    """Resolved."""
    kind: Kind
    """Who wrote it: the organisation, the user, the project, or the user for this project."""
    text: str
    """What the model gets: without frontmatter and comments, and within the budget."""
    size: int
    """Characters of `text` before it was cut to the budget."""
    imported_by: Path | None = None
    """The file that has it by `@path`."""
    paths: tuple[str, ...] = ()
    """The globs of a rule that is for certain files only."""

    @property
    def why(self) -> str:
        """How it comes to be there, and whether all of it is; empty where nothing is to be said.

        Names in it are as the files have them: not fit for a terminal.
        """
        told = []
        if self.imported_by is not None:
            told.append(f"imported by {self.imported_by}")
        if self.paths:
            told.append(f"for {', '.join(self.paths)}")
        if len(self.text) < self.size:
            told.append(f"cut from {self.size:,} to {len(self.text):,} characters")
        return "; ".join(told)


def fitted(pieces: Sequence[Piece], budget: int) -> tuple[list[Piece], list[str]]:
    """Cut the longest pieces so that all are within `budget` characters; say what was cut.

    The organisation's are never cut.
    """
    own = [piece for piece in pieces if piece.kind != "managed"]
    policy = sum(len(piece.text) for piece in pieces if piece.kind == "managed")
    limit = _limit([len(piece.text) for piece in own], max(budget - policy, 0))
    kept, notices = [], []
    for piece in pieces:
        if piece.kind == "managed" or len(piece.text) <= limit:
            kept.append(piece)
            continue
        text = piece.text[:limit]
        text = text[: text.rfind("\n") + 1] or text
        kept.append(msgspec.structs.replace(piece, text=text))
        notices.append(
            f"{piece.path}: {len(text):,} of {piece.size:,} characters are given to the model: "
            f"the instruction files are larger than the budget of {budget:,}. Shorten them, or "
            "raise apr.memoryBudget in your settings"
        )
    return kept, notices


def render(pieces: Iterable[Piece]) -> str:
    """Return the text for the model; nothing where there are no instructions."""
    parts = [_part(piece) for piece in pieces]
    return "\n\n".join(["<instructions>", _OPENING, *parts, "</instructions>"]) if parts else ""


def tokens(text: str) -> int:
    """Estimate how many tokens a text takes: one for four characters, as English prose does."""
    return -(-len(text) // 4)


def _part(piece: Piece) -> str:
    # A file cannot end the instructions and go on as something else.
    text = piece.text.strip().replace("</instructions", "< /instructions")
    where = f"From {piece.path}"
    if piece.paths:
        where += f", for files that match {', '.join(piece.paths)}"
    if len(piece.text) < piece.size:
        text += f"\n[cut here: {piece.size - len(piece.text)} more characters are in the file]"
    return f"{where}:\n\n{text}"


def _limit(sizes: Sequence[int], budget: int) -> int:
    """Return the largest size that, where nothing is larger, keeps the sum within the budget."""
    left = budget
    ordered = sorted(sizes)
    for index, size in enumerate(ordered):
        share = left // (len(ordered) - index)
        if size > share:
            return share
        left -= size
    return max(ordered, default=0)
