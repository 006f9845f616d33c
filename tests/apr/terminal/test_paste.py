"""What is pasted: read in one go, a chip where it is long, whole where it is sent."""

import re

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys

from apr.legible import legible
from apr.terminal.chips import Chips, Pasted, Picture
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


def test_what_was_pasted_is_no_command() -> None:
    chips = Chips()
    mark = chips.add(Pasted(lines=1, characters=9, content="/etc @secret"))
    assert chips.prompt(mark).verbatim
    assert not chips.prompt(f"look at {mark}").verbatim
    assert not chips.prompt(f"/review {mark}").verbatim


def test_chips_are_numbered_by_kind_and_the_oldest_go_when_there_are_thousands() -> None:
    chips = Chips()
    picture = Picture(media_type="image/png", content=b"x")
    marks = [chips.add(picture) for _ in range(5000)]
    assert chips.labelled(marks[-1]) == "[Image #5000]"
    text = chips.add(Pasted(lines=3, characters=5, content="a\nb\nc"))
    assert chips.labelled(text) == "[Pasted text #1 +3 lines]"


def test_a_long_paste_is_a_chip_and_is_sent_whole(begin: Begin) -> None:
    pasted = "\n".join(f"line {n}\x1b]0;owned\x07" for n in range(120))
    terminal = begin(says("Read."))
    terminal.type(f"explain {BEGIN}{pasted}{END} please")
    terminal.until(r"> explain \[Pasted text #1 \+120 lines\] please")
    terminal.enter("")
    terminal.until("Read\\.")
    assert f"explain {pasted} please" in terminal.asked()
    assert b"\x1b]0;owned" not in terminal.raw


def test_one_backspace_takes_a_chip_away(begin: Begin) -> None:
    terminal = begin(says("Read."))
    terminal.type(f"a {BEGIN}{'b' * 2000}{END}")
    terminal.until(r"> a \[Pasted text #1 2,000 characters\]")
    terminal.type("\x7fc\r")
    terminal.until("Read\\.")
    assert terminal.asked().endswith("a c")
