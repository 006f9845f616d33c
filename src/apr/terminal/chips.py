"""Chips: what stands in the input line for more than can stand there, a long text or a picture.

A chip is one character of the line, from the end of Unicode's private use area; only the display
shows its label. So every way to move, delete, undo, cut and recall takes it as the one thing it is.
"""

import base64
import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.formatted_text.utils import fragment_list_to_text
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput

from apr.agent.prompt import Prompt
from apr.errors import AprError
from apr.legible import legible
from apr.patterns import Pattern
from apr.providers.base import Image
from apr.ui.terminal import plain

FIRST, LAST = 0x10F000, 0x10FFFD
MARK = Pattern(f"[{chr(FIRST)}-{chr(LAST)}]")
"""A character that may stand for a chip."""
_TAB = "    "


class Pasted(Struct, frozen=True, kw_only=True):
    """A text that was pasted: what it says, or the file that has it."""

    lines: int
    characters: int
    content: str | Path

    def text(self) -> str:
        """Return it whole.

        Raises:
            AprError: it is no longer kept.
        """
        if isinstance(self.content, str):
            return self.content
        return _kept(self.content).decode("utf-8", "replace")


class Picture(Struct, frozen=True, kw_only=True):
    """A picture: its bytes, or the file that has them."""

    media_type: str
    content: bytes | Path

    def image(self) -> Image:
        """Return it as a model is given it.

        Raises:
            AprError: it is no longer kept.
        """
        content = self.content if isinstance(self.content, bytes) else _kept(self.content)
        return Image(self.media_type, base64.b64encode(content).decode())


Chip = Pasted | Picture


class Chips:
    """The chips of a session, by the mark that stands for each in a line."""

    def __init__(self) -> None:
        self._added = 0
        self._numbers = {Pasted: 0, Picture: 0}
        self._chips: dict[str, Chip] = {}
        self._labels: dict[str, str] = {}

    def add(self, chip: Chip) -> str:
        """Return the mark that stands for a chip from now on. After thousands the oldest go."""
        mark = chr(FIRST + self._added % (LAST - FIRST + 1))
        self._added += 1
        self._chips[mark] = chip
        self._labels.pop(mark, None)
        return mark

    def get(self, mark: str) -> Chip | None:
        """Return what a mark stands for; None for any other character."""
        return self._chips.get(mark)

    def labelled(self, text: str) -> str:
        """Return a line as people read it: with the label in place of each mark."""
        return MARK.sub(lambda match: self._label(match[0]), text)

    def marked(self, text: str) -> str:
        """Return a line that `labelled` has given out, with the marks again."""
        marks = {label: mark for mark, label in self._labels.items()}
        if not marks:
            return text
        found = re.compile("|".join(re.escape(label) for label in marks))
        return found.sub(lambda match: marks[match[0]], text)

    def parts(self, typed: str) -> Iterator[tuple[str, Chip | None]]:
        """Yield the pieces of a line in order: what was typed, and each mark with its chip."""
        at = 0
        for match in MARK.finditer(typed):
            if match.start() > at:
                yield typed[at : match.start()], None
            yield match[0], self._chips.get(match[0])
            at = match.end()
        if at < len(typed):
            yield typed[at:], None

    def prompt(self, typed: str) -> Prompt:
        """Return what a line asks for: pasted texts whole, and its pictures by their labels.

        What was pasted is no command: where the line begins with it, it is taken as it is written.

        Raises:
            AprError: something that it holds is no longer kept.
        """
        pieces: list[str] = []
        by_hand: list[str] = []
        images: list[Image] = []
        for piece, chip in self.parts(typed):
            if isinstance(chip, Pasted):
                pieces.append(chip.text())
                continue
            if isinstance(chip, Picture):
                images.append(chip.image())
            by_hand.append(self.labelled(piece))
            pieces.append(by_hand[-1])
        text = legible("".join(pieces))
        return Prompt(
            text,
            tuple(images),
            verbatim=text.startswith("/") and not typed.startswith("/"),
            typed=legible(" ".join(by_hand)),
        )

    def _label(self, mark: str) -> str:
        """Return a mark's label, numbered when it is first seen: most of a history never is."""
        chip = self._chips.get(mark)
        if chip is not None and mark not in self._labels:
            self._numbers[type(chip)] += 1
            self._labels[mark] = _label(chip, self._numbers[type(chip)])
        return self._labels.get(mark, mark)


class Display(Processor):
    """Shows the label of each chip, tabs as spaces, and what could drive a terminal as text."""

    def __init__(self, chips: Chips) -> None:
        self._chips = chips

    def apply_transformation(self, given: TransformationInput) -> Transformation:
        """Return what is shown of a line of the input, and where each character of it is."""
        text = fragment_list_to_text(given.fragments)
        if self._seen(text) == text:
            return Transformation(given.fragments)
        shown: StyleAndTextTuples = []
        starts = [0]
        for style, piece, *_ in given.fragments:
            for character in piece:
                seen = self._seen(character)
                is_chip = self._chips.get(character) is not None
                shown.append((f"{style} reverse" if is_chip else style, seen))
                starts.append(starts[-1] + len(seen))
        return Transformation(
            shown,
            lambda at: starts[min(at, len(starts) - 1)] + max(at - len(starts) + 1, 0),
            lambda at: bisect_right(starts, at) - 1 + max(at - starts[-1], 0),
        )

    def _seen(self, text: str) -> str:
        return plain(self._chips.labelled(text)).replace("\t", _TAB)


def _label(chip: Chip, number: int) -> str:
    if isinstance(chip, Picture):
        return f"[Image #{number}]"
    size = f"+{chip.lines} lines" if chip.lines > 1 else f"{chip.characters:,} characters"
    return f"[Pasted text #{number} {size}]"


def _kept(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AprError(
            f"what was pasted then is no longer kept ({error.strerror}): delete it from the line"
        ) from None
