"""What is pasted: read in one go, a chip where it is long, whole where it is sent."""

import re
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.controls import BufferControl
from prompt_toolkit.layout.processors import TransformationInput

from apr.legible import legible
from apr.terminal.chips import Chips, Display, Pasted, Picture
from apr.terminal.paste import MOST_CHARACTERS, MOST_LINES, PasteParser, cleaned, folded
from tests.apr.program import says
from tests.apr.terminal.conftest import Begin

BEGIN, END = "\x1b[200~", "\x1b[201~"


def keys(pieces: list[str]) -> list[KeyPress]:
    found: list[KeyPress] = []
    parser = PasteParser(found.append)
    for piece in pieces:
        parser.feed(piece)
    return found


@given(st.text(), st.lists(st.integers(min_value=0), max_size=6))
def test_a_paste_is_read_whole_however_it_arrives(pasted: str, cuts: list[int]) -> None:
    text = f"{BEGIN}{pasted.replace(END, '')}{END}x"
    at = sorted(cut % (len(text) + 1) for cut in cuts)
    pieces = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
    assert keys(pieces) == [
        KeyPress(Keys.BracketedPaste, pasted.replace(END, "")),
        KeyPress("x", "x"),
    ]


def test_two_pastes_and_keys_between() -> None:
    found = keys([f"a{BEGIN}one{END}b{BEGIN}two", f"{END[:3]}", f"{END[3:]}\r"])
    assert [key.data for key in found] == ["a", "one", "b", "two", "\r"]


def test_line_ends_become_ours_and_marks_of_ours_do_not_come_from_outside() -> None:
    mark = Chips().add(Pasted(lines=2, characters=3, content="a\nb"))
    assert cleaned(f"a\r\nb\rc\n{mark}é") == "a\nb\nc\n\ufffdé"


def test_what_is_longer_than_half_a_window_becomes_a_chip() -> None:
    assert folded("x" * MOST_CHARACTERS) is None
    assert folded("x" * (MOST_CHARACTERS + 1)) is not None
    assert folded("\n" * (MOST_LINES - 1)) is None
    assert folded("\n" * MOST_LINES) is not None


@given(st.lists(st.text(max_size=30), max_size=5))
def test_chips_are_read_by_people_and_sent_whole(pastes: list[str]) -> None:
    chips = Chips()
    line = "".join(
        f"see {chips.add(Pasted(lines=one.count(chr(10)) + 1, characters=len(one), content=one))};"
        for one in pastes
    )
    assert chips.marked(chips.labelled(line)) == line
    sent = chips.prompt(line).text
    assert sent == legible("".join(f"see {one};" for one in pastes))
    assert len(re.findall(r"\[Pasted text #\d", chips.labelled(line))) == len(pastes)


def test_files_are_looked_for_in_what_was_typed_alone() -> None:
    chips = Chips()
    mark = chips.add(Pasted(lines=1, characters=6, content="@calc `"))
    prompt = chips.prompt(f"see @README.md {mark} and @a")
    assert prompt.text == "see @README.md @calc ` and @a"
    assert prompt.typed == "see @README.md   and @a"


def test_what_was_pasted_is_no_command() -> None:
    chips = Chips()
    mark = chips.add(Pasted(lines=1, characters=9, content="/etc @secret"))
    assert chips.prompt(mark).verbatim
    assert not chips.prompt(f"look at {mark}").verbatim
    assert not chips.prompt(f"/review {mark}").verbatim


def test_chips_are_numbered_by_kind_as_they_are_seen() -> None:
    chips = Chips()
    picture = Picture(media_type="image/png", content=b"x")
    marks = [chips.add(picture) for _ in range(5)]
    text = chips.add(Pasted(lines=3, characters=5, content="a\nb\nc"))
    assert chips.labelled(f"{marks[4]} {text} {marks[0]} {marks[4]}") == (
        "[Image #1] [Pasted text #1 +3 lines] [Image #2] [Image #1]"
    )


def test_after_thousands_the_oldest_chips_go() -> None:
    chips = Chips()
    first, *_, last = [
        chips.add(Pasted(lines=1, characters=1, content=str(number))) for number in range(4095)
    ]
    assert first == last
    assert chips.prompt(last).text == "4094"


def test_what_is_shown_of_a_line_has_no_control_characters_and_a_place_for_each() -> None:
    chips = Chips()
    line = f"a{chips.add(Pasted(lines=2, characters=3, content='x'))}\tb\u202ec"
    seen, where, back = displayed(chips, line)
    assert seen == "a[Pasted text #1 +2 lines]    b\\u202ec"
    assert [seen[where(at)] for at in range(len(line))] == ["a", "[", " ", "b", "\\", "c"]
    assert [back(where(at)) for at in range(len(line) + 2)] == list(range(len(line) + 2))
    assert back(5) == 1
    assert displayed(chips, "plain")[0] == "plain"


def displayed(chips: Chips, line: str) -> tuple[str, Callable[[int], int], Callable[[int], int]]:
    """What is shown of a line, and where its characters are in that, and the other way round."""
    document = Document(line)
    control = BufferControl(Buffer(document=document))
    shown = Display(chips).apply_transformation(
        TransformationInput(control, document, 0, lambda at: at, [("", line)], 80, 24)
    )
    text = "".join(fragment[1] for fragment in shown.fragments)
    return text, shown.source_to_display, shown.display_to_source


def test_a_long_paste_is_a_chip_and_is_sent_whole(begin: Begin) -> None:
    pasted = "\n".join(f"line {n} @src/calc.py\x1b]0;owned\x07" for n in range(120))
    terminal = begin(says("Read."))
    terminal.type(f"explain {BEGIN}{pasted}{END} please")
    terminal.until(r"> explain \[Pasted text #1 \+120 lines\] please")
    terminal.enter("")
    terminal.until("Read\\.")
    assert terminal.asked().endswith(f"explain {pasted} please")  # no file stands behind it
    assert b"\x1b]0;owned" not in terminal.raw


def test_one_backspace_takes_a_chip_away(begin: Begin) -> None:
    terminal = begin(says("Read."))
    terminal.type(f"a {BEGIN}{'b' * 2000}{END}")
    terminal.until(r"> a \[Pasted text #1 2,000 characters\]")
    terminal.type("\x7fc\r")
    terminal.until("Read\\.")
    assert terminal.asked().endswith("a c")
