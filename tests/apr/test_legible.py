"""Text that the system, or a model, gives us, and that must be written down."""

from hypothesis import given
from hypothesis import strategies as st

from apr.legible import legible


@given(st.text(st.characters(codec="utf-8")))
def test_what_utf8_can_hold_stays_as_it_is(text: str) -> None:
    assert legible(text) == text


@given(st.binary())
def test_a_name_is_read_as_utf8(name: bytes) -> None:
    assert legible(name.decode("ascii", "surrogateescape")) == name.decode("utf-8", "replace")


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from("\ud800\udfff\udc80")))
def test_whatever_it_is_it_can_be_written_afterwards(text: str) -> None:
    legible(text).encode()


def test_half_a_character_is_shown_as_none() -> None:
    assert legible("a\ud800b") == "a\ufffdb"
