import re

from hypothesis import given
from hypothesis import strategies as st

from ccpa.console import console, one_line, plain


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert plain("\x1b[31mred\x9b") == "\\x1b[31mred\\x9b"
    assert plain("abc\u202ecba") == "abc\\u202ecba"
    assert plain("\udcff") == "\\udcff"
    assert plain("a\r\x08b") == "a\\r\\x08b"


def test_newlines_and_tabs_stay_unless_it_must_be_one_line() -> None:
    assert plain("a\n\tb") == "a\n\tb"
    assert one_line("a\n\tb") == "a\\n\\tb"


def test_text_in_any_script_stays_as_it_is() -> None:
    assert plain("naïve → 漢字 עברית 🎉") == "naïve → 漢字 עברית 🎉"


@given(st.text(st.characters()))
def test_no_control_character_passes(text: str) -> None:
    safe = plain(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", safe)
    safe.encode()
    assert len(one_line(text).splitlines()) <= 1


def test_brackets_are_text_and_not_markup() -> None:
    screen = console()
    with screen.capture() as captured:
        screen.print("[red]x[/red] :smile:")
    assert captured.get() == "[red]x[/red] :smile:\n"
