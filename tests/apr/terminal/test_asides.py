"""What a shell line says, shown as it comes."""

from hypothesis import given
from hypothesis import strategies as st

from apr.terminal.asides import Lines


def shown(*pieces: str) -> list[str]:
    said: list[str] = []
    lines = Lines(said.append)
    for piece in pieces:
        lines.feed(piece)
    lines.close()
    return said


def test_lines_are_shown_when_they_are_over() -> None:
    assert shown("one\ntw", "o\nthree") == ["one", "two", "three"]


def test_a_line_that_is_written_over_is_shown_as_it_ends() -> None:
    assert shown(" 10%\r 50%", "\r100%\r\ndone\r\n") == ["100%\ndone"]


def test_a_line_without_end_is_not_waited_for() -> None:
    assert shown("x" * 9_000, "x" * 9_000) == ["x" * 18_000]
    assert [len(one) for one in shown(*["x" * 6_000] * 5)] == [12_000, 12_000, 6_000]


@given(st.lists(st.text(alphabet="ab\n", max_size=20)))
def test_whatever_comes_in_whatever_pieces_is_shown_once(pieces: list[str]) -> None:
    assert "\n".join(shown(*pieces)) == "".join(pieces).removesuffix("\n")
