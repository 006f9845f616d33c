import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.tools.errors import ToolError
from apr.tools.globs import compiled, split


def matches(pattern: str, path: str) -> bool:
    return bool(compiled(pattern, anywhere="/" not in pattern).fullmatch(path))


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.py", "a.py"),
        ("*.py", "src/deep/a.py"),
        ("src/*.py", "src/a.py"),
        ("src/**/*.py", "src/a.py"),
        ("src/**/*.py", "src/x/y/a.py"),
        ("**/test_*.py", "tests/test_a.py"),
        ("**", "a/b"),
        ("src/**", "src/a/b"),
        ("src/", "src/a/b"),
        ("**/src/**/a/*", "x/src/y/src/a/b"),
        ("a?c", "abc"),
        ("[a-c]x", "bx"),
        ("[!a-c]x", "dx"),
        ("[]]", "]"),
        ("*.{ts,tsx}", "a.tsx"),
        ("{src,lib}/**/{a,b}.c", "lib/b.c"),
        ("a{b{c,d},e}", "abd"),
        (r"\*", "*"),
        ("[", "["),
        ("[z-a]", "[z-a]"),
        ("a.b", "a.b"),
        ("./src/*.py", "src/a.py"),
    ],
)
def test_a_pattern_matches(pattern: str, path: str) -> None:
    assert matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.py", "a.pyc"),
        ("src/*.py", "src/x/a.py"),
        ("src/*.py", "x/src/a.py"),
        ("src/**/*.py", "srca.py"),
        ("**/src/*.py", "xsrc/a.py"),
        ("a?c", "a/c"),
        ("a[!b]c", "a/c"),
        ("[a-c]x", "dx"),
        ("a.b", "axb"),
        ("*.{ts,tsx}", "a.js"),
        (r"\*", "a"),
    ],
)
def test_a_pattern_does_not_match(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


def reference(pattern: list[str], path: list[str]) -> bool:
    """The meaning of a pattern, by trying everything."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return reference(pattern[1:], path) or (len(path) > 1 and reference(pattern, path[1:]))
    name = pattern[0].replace("*", "[^/]*")
    return bool(path) and bool(re.fullmatch(name, path[0])) and reference(pattern[1:], path[1:])


@given(
    pattern=st.lists(
        st.sampled_from(["**", "*", "a", "b", "a*", "*a", "a*b*a", "*b*"]), min_size=1
    ),
    path=st.lists(st.text(st.sampled_from("ab"), min_size=1, max_size=5), min_size=1, max_size=6),
)
def test_matching_without_backing_up_finds_what_trying_everything_finds(
    pattern: list[str], path: list[str]
) -> None:
    expression = compiled("/".join(pattern), anywhere=False)
    assert bool(expression.fullmatch("/".join(path))) == reference(pattern, path)


@given(st.text(max_size=30))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    try:
        compiled(pattern, anywhere=True).fullmatch("some/path")
    except ToolError:
        assert "{" in pattern


def test_no_pattern_makes_matching_slow() -> None:
    # Backing up, each of these would take ages: the suite's time limit would tell.
    assert not matches("*a" * 60 + "b", "a" * 250)
    assert not matches("**/a/" * 60 + "b", "a/" * 250 + "c")


def test_braces_are_written_out_only_so_far() -> None:
    with pytest.raises(ToolError, match="more than 200 patterns"):
        compiled("{a,b}" * 12, anywhere=True)


@pytest.mark.parametrize(
    ("pattern", "folder", "inside"),
    [
        ("*.py", "", "*.py"),
        ("src/x/*.py", "src/x", "*.py"),
        ("src/a.py", "src", "a.py"),
        ("/abs/**/x", "/abs", "**/x"),
        ("/x", "/", "x"),
        ("../*", "..", "*"),
        ("{a,b}/c", "", "{a,b}/c"),
    ],
)
def test_the_folder_a_pattern_begins_with_is_told_apart(
    pattern: str, folder: str, inside: str
) -> None:
    assert split(pattern) == (folder, inside)
