"""Single patterns, and hostile ones. `test_workspace.py` holds the rules against git."""

import pytest

from ccpa.gitignore import IgnoreRules


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        (b"*.log", b"deep/er/a.log", True),
        (b"/*.log", b"deep/a.log", None),
        (b"a/**/b", b"a/b", True),
        (b"a/**/b", b"a/x/y/b", True),
        (b"a/*/b", b"a/x/y/b", None),
        (b"a/**", b"a/x/y", True),
        (b"a**b", b"a/b", None),
        (b"[!a].c", b"b.c", True),
        (b"[]a].c", b"].c", True),
        (b"[[:digit:]-]x", b"7x", True),
        (b"[a", b"[a", None),
        (b"\\!x", b"!x", True),
        (b"x\\", b"x\\", None),
        (b"caf?", b"caf\xc3\xa9", None),  # git's `?` is one byte
        (b"caf??", b"caf\xc3\xa9", True),
        (b"*\n!*.c", b"a.c", False),
        (b"\xef\xbb\xbfa\r\nb", b"a", True),
        (b"dir/", b"dir", None),
    ],
)
def test_a_file_is_ignored_taken_back_in_or_not_mentioned(
    pattern: bytes, path: bytes, ignored: bool | None
) -> None:
    assert IgnoreRules(pattern).ignores(path, is_directory=False) is ignored


def test_what_lies_in_an_ignored_directory_is_excluded() -> None:
    rules = IgnoreRules(b"build/\n*.o\n")
    assert rules.excludes(b"src/build/x.c")
    assert rules.excludes(b"src/x.o")
    assert not rules.excludes(b"src/build")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (b"*a" * 30 + b"b", b"a" * 255),
        (b"**/a/" * 30 + b"b", b"a/" * 2000 + b"c"),
        (b"**/*a*a/" * 20 + b"b", b"aaa/" * 1000 + b"c"),
        (b"**" * 1000 + b"/x", b"a/" * 2000),
        (b"[" * 100_000, b"a"),
        (b"[a-" * 10_000 + b"]", b"z"),
        (b"*?" * 100_000, b"a" * 255),
    ],
)
def test_a_hostile_pattern_costs_no_more_than_its_length(pattern: bytes, path: bytes) -> None:
    # Tried naively, these take longer than the universe has existed: the test would time out.
    assert IgnoreRules(pattern).ignores(path, is_directory=False) is None
