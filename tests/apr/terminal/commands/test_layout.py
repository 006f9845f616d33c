"""Text in a terminal: nothing is lost, and nothing is wider than the terminal."""

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from apr.terminal.commands.layout import LEAST, bar, table, wrapped

WORDS = st.text(alphabet="ab 漢字é\n", max_size=80)
CELLS = st.text(alphabet="ab漢 ", max_size=30).map(str.strip)


@given(WORDS, st.integers(1, 60))
def test_wrapped_text_fits_and_loses_no_word(text: str, width: int) -> None:
    shown = wrapped(text, width)
    assert all(get_cwidth(line) <= max(width, LEAST) for line in shown.split("\n"))
    assert "".join(shown.split()) == "".join(text.split())


def test_further_lines_stand_where_the_first_one_begins() -> None:
    shown = wrapped("one two three four five", 20, first="- ", rest="  ")
    assert shown == "- one two three four\n  five"


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), st.integers(40, 100))
def test_a_table_fits_and_loses_nothing(rows: list[tuple[str, str, str]], width: int) -> None:
    shown = "\n".join(table(rows, width))
    assert all(get_cwidth(line) <= width for line in shown.split("\n"))
    assert "".join(shown.split()) == "".join("".join(row) for row in rows).replace(" ", "")


def test_columns_stand_below_each_other() -> None:
    rows = [("a", "first", "x"), ("long", "b", "y")]
    assert list(table(rows, 80)) == ["a     first  x", "long  b      y"]


def test_a_cell_that_is_too_wide_has_a_line_of_its_own() -> None:
    rows = [("a", "x"), ("w" * 50, "y")]
    assert list(table(rows, 80)) == ["a  x", "w" * 50, "   y"]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=9), st.integers(10, 80))
def test_a_bar_has_as_many_signs_as_it_is_wide(amounts: list[int], columns: int) -> None:
    shown = bar([("#", amount) for amount in amounts], sum(amounts), columns)
    assert len(shown) == columns


def test_what_is_there_has_a_sign_in_the_bar() -> None:
    assert bar([("a", 1), ("b", 999)], 2000, 10) == "abbbbb····"
