"""One of many, chosen inline: type to search, arrows, a preview, Enter. Esc takes nothing.

What stands in it may be a stranger's words: it is shown on one line, without control characters.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from apr.terminal.cells import cut, isolated, width
from apr.ui.terminal import line

if TYPE_CHECKING:
    from prompt_toolkit import Application
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyBindings

T = TypeVar("T")

ROWS = 10
"""Choices that are shown at a time, where there is room."""
PREVIEW = 6
"""Lines of the preview, where there is room."""
_FRAME = 4
"""Lines besides: the question, what is typed, an empty line before the preview, the keys."""


class Choice(Struct, Generic[T], frozen=True, kw_only=True):
    """Something that may be chosen."""

    value: T
    title: str
    note: str = ""
    """Said behind the title, quieter."""
    search: str = ""
    """What else it is found by."""


Preview = Callable[[T], Sequence[str]]
"""Returns the lines that say more about a choice."""
Deeper = Callable[[str], Sequence[bool]]
"""Says of each choice, in their order, whether a text is in what lies behind it. It may take a
while: it runs in a thread, when it is asked for."""


async def pick(
    question: str,
    choices: Sequence[Choice[T]],
    *,
    preview: Preview[T] | None = None,
    deeper: Deeper | None = None,
    colour: bool = True,
) -> T | None:
    """Have a person choose; return what they took, None for nothing.

    No other prompt may be open meanwhile. What is printed appears above.
    """
    from prompt_toolkit.utils import is_dumb_terminal

    if not choices:
        return None
    try:
        if is_dumb_terminal():
            return await _asked(question, choices)
        picker = _Picker(question, choices, preview, deeper, colour=colour)
        return await picker.application().run_async()
    except (EOFError, KeyboardInterrupt):  # the terminal is gone; Ctrl-C on a dumb one
        return None


def matching(typed: str, texts: Sequence[str]) -> list[int]:
    """Return which texts are meant by what was typed, the likeliest first.

    Every word that was typed must be in the text: as it stands, which is likelier, or else with its
    letters in their order. Texts that are as likely stay in their order.
    """
    words = typed.casefold().split()
    if not words:
        return list(range(len(texts)))
    found = []
    for at, text in enumerate(texts):
        folded = text.casefold()
        loose = 0
        for word in words:
            if word in folded:
                continue
            gaps = _gaps(word, folded)
            if gaps is None:
                break
            loose += 1 + gaps
        else:
            found.append((loose, at))
    return [at for _, at in sorted(found)]


def _gaps(word: str, text: str) -> int | None:
    """Return how many letters of the text lie between those of the word; None: it is not in it."""
    at = start = text.find(word[0])
    for letter in word[1:]:
        at = text.find(letter, at + 1)
        if at < 0:
            return None
    return None if start < 0 else at - start + 1 - len(word)


async def _asked(question: str, choices: Sequence[Choice[T]]) -> T | None:
    """Have a person choose where nothing can be drawn: a number is typed, or more of the name."""
    from prompt_toolkit import PromptSession

    session = PromptSession[str]()
    output = session.output
    texts = [_text(choice) for choice in choices]
    found = list(range(len(choices)))
    while True:
        output.write_raw(f"{line(question)}\n")
        for number, at in enumerate(found[:ROWS], 1):
            choice = choices[at]
            output.write_raw(f"{number:3}  {line(f'{choice.title}  {choice.note}')}\n")
        hint = f"{len(found)} in all. A number takes one, other text searches, nothing leaves: "
        typed = (await session.prompt_async(hint)).strip()
        if not typed:
            return None
        if typed.isdecimal() and 0 < int(typed) <= min(len(found), ROWS):
            return choices[found[int(typed) - 1]].value
        found = matching(typed, texts)


def _text(choice: Choice[T]) -> str:
    """Return all that a choice is found by."""
    return line(f"{choice.title}  {choice.note}  {choice.search}".strip())


class _Picker(Generic[T]):
    """The state of one choice: what is typed, what that leaves, and where the person is in it."""

    def __init__(
        self,
        question: str,
        choices: Sequence[Choice[T]],
        preview: Preview[T] | None,
        deeper: Deeper | None,
        *,
        colour: bool,
    ) -> None:
        self._question = line(question)
        self._choices = choices
        self._texts = [_text(choice) for choice in choices]
        self._preview = preview
        self._deeper = deeper
        self._colour = colour
        self._typed = ""
        self._searching = False
        self._found = list(range(len(choices)))
        self._at = 0
        self._previewed: dict[int, list[str]] = {}

    def application(self) -> "Application[T | None]":
        """Return what asks: it ends with what was taken."""
        from prompt_toolkit.application import Application
        from prompt_toolkit.layout import Layout, Window
        from prompt_toolkit.layout.controls import FormattedTextControl
        from prompt_toolkit.output import ColorDepth

        control = FormattedTextControl(self._fragments, focusable=True)
        application: Application[T | None] = Application(
            layout=Layout(Window(control, dont_extend_height=True)),
            key_bindings=self._keys(),
            erase_when_done=True,
            color_depth=None if self._colour else ColorDepth.DEPTH_1_BIT,
        )
        application.ttimeoutlen = 0.05  # or Esc would wait half a second
        return application

    def _keys(self) -> "KeyBindings":
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
        from prompt_toolkit.keys import Keys

        keys = KeyBindings()
        steps = {"up": -1, "c-p": -1, "down": 1, "c-n": 1, "pageup": -ROWS, "pagedown": ROWS}
        for key, step in steps.items():
            keys.add(key)(lambda _event, step=step: self._move(step))

        @keys.add("enter")
        def _(event: KeyPressEvent) -> None:
            if self._found:
                event.app.exit(result=self._choices[self._found[self._at]].value)

        @keys.add("escape", eager=True)
        @keys.add("c-c")
        @keys.add("c-d")
        def _(event: KeyPressEvent) -> None:
            event.app.exit(result=None)

        @keys.add("tab")
        def _(event: KeyPressEvent) -> None:
            if self._deeper is not None and self._typed.strip() and not self._searching:
                event.app.create_background_task(self._search(self._deeper, event.app.invalidate))

        @keys.add("backspace")
        def _(_event: KeyPressEvent) -> None:
            self._type(self._typed[:-1])

        @keys.add("c-u")
        def _(_event: KeyPressEvent) -> None:
            self._type("")

        @keys.add(Keys.BracketedPaste)
        @keys.add(Keys.Any)
        def _(event: KeyPressEvent) -> None:
            self._type(self._typed + line(event.data))

        return keys

    def _move(self, step: int) -> None:
        self._at = max(0, min(self._at + step, len(self._found) - 1))

    def _type(self, text: str) -> None:
        self._typed, self._at = text, 0
        self._found = matching(text, self._texts)

    async def _search(self, deeper: Deeper, show: Callable[[], None]) -> None:
        """Look for what is typed behind the choices, and leave those that have it."""
        typed, self._searching = self._typed, True
        show()
        try:
            has = await asyncio.to_thread(deeper, typed.strip())
        finally:
            self._searching = False
        if typed == self._typed:  # or they have typed on
            self._found = [at for at, found in enumerate(has) if found]
            self._at = 0
        show()

    def _fragments(self) -> "StyleAndTextTuples":
        from prompt_toolkit.application import get_app

        size = get_app().output.get_size()
        room = size.rows - _FRAME
        most = min(PREVIEW, room - ROWS)
        previewed = self._lines()[:most] if most > 0 else []
        rows = max(1, min(ROWS, room))
        first = max(0, min(self._at - rows // 2, len(self._found) - rows))
        shown: StyleAndTextTuples = [
            ("bold", f"{self._question}\n"),
            ("", f"/ {self._typed[-max(size.columns - 4, 1) :]}"),
            ("[SetCursorPosition]", ""),
            ("", "\n"),
        ]
        for place in range(first, min(first + rows, len(self._found))):
            shown += self._row(place, size.columns)
        if not self._found:
            shown.append(("", "  nothing like that\n"))
        if previewed:
            shown.append(("", "\n"))
            shown += [("dim", f"  {text}\n") for text in previewed]
        shown.append(("dim", self._hint()))
        return shown

    def _row(self, place: int, columns: int) -> "StyleAndTextTuples":
        """Return a choice as a line. A long title leaves room for the note."""
        choice, here = self._choices[self._found[place]], place == self._at
        note = line(choice.note)
        title = cut(line(choice.title), max(columns - width(note) - 4, columns // 2))
        mark = ">" if here else " "
        return [("bold" if here else "", f"{mark} {isolated(title)}"), ("dim", f"  {note}\n")]

    def _hint(self) -> str:
        if self._searching:
            return "searching…"
        count = f"{self._at + 1 if self._found else 0} of {len(self._found)}"
        deeper = " · Tab searches in all that was said" if self._deeper is not None else ""
        return f"{count} · Enter takes it · Esc leaves{deeper}"

    def _lines(self) -> list[str]:
        """Return the preview of where the person is."""
        if self._preview is None or not self._found:
            return []
        at = self._found[self._at]
        if at not in self._previewed:
            said = self._preview(self._choices[at].value)
            self._previewed[at] = [line(text) for text in said]
        return self._previewed[at]
