"""Things by name, some of which are made only when somebody asks for them."""

from functools import cache

import pytest

from apr.later import Later


def test_names_are_known_before_anything_is_made() -> None:
    made: list[str] = []

    def make() -> str:
        made.append("b")
        return "made"

    later = Later({"a": "there"}, {"b": make})

    assert list(later) == ["a", "b"]
    assert len(later) == 2
    assert "b" in later
    assert "c" not in later
    assert later.get("a") == "there"
    assert not made

    assert later["b"] == "made"
    assert made == ["b"]


def test_what_is_there_goes_before_what_could_be_made() -> None:
    later = Later({"a": "there"}, {"a": lambda: "made"})

    assert dict(later) == {"a": "there"}
    assert len(later) == 1


def test_a_maker_that_remembers_makes_one_thing() -> None:
    later = Later[object]({}, {"a": cache(object)})

    assert later["a"] is later["a"]


def test_what_there_is_not_is_a_key_error() -> None:
    later = Later[str]({}, {})

    assert later.get("a") is None
    with pytest.raises(KeyError):
        later["a"]
