"""A path in a prompt and in a shell line: what is typed, and what is written."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.skills.filling import files
from apr.terminal.mentions import as_mention, as_shell_word, mention, shell_word


@pytest.mark.parametrize(
    ("before", "path"),
    [
        ("@", ""),
        ("see @src/ma", "src/ma"),
        ("see @./src/ma", "src/ma"),
        ("(@src", "src"),
        ('@"my fi', "my fi"),
        ('@"my folder/"no', "my folder/no"),
        ("@~/no", "~/no"),
        ("@@types/x", "@types/x"),
    ],
)
def test_a_path_that_is_being_typed(before: str, path: str) -> None:
    typed = mention(before)
    assert typed is not None
    assert typed.path == path


@pytest.mark.parametrize("before", ["", "a@b.org", "@src done", '@"a" b', "`@x", "foo/@bar"])
def test_no_path_is_being_typed(before: str) -> None:
    assert mention(before) is None


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("src/main.c", "@src/main.c"),
        ("src/", "@src/"),
        ("my file.txt", '@"my file.txt"'),
        ("a,b.txt", '@"a,b.txt"'),
        ("ends.", '@"ends."'),
        ("@types/x.ts", "@@types/x.ts"),
        ('a"b', None),
        ("a\nb", None),
        ("a`b", None),
    ],
)
def test_how_a_path_is_written(path: str, written: str | None) -> None:
    assert as_mention(path) == written


@given(st.text(max_size=12), st.sampled_from(["", " and", ".", ", then"]))
def test_what_is_written_is_read_as_the_same_path(path: str, behind: str) -> None:
    written = as_mention(path)
    if written is not None:
        assert files(f"see {written}{behind}") == [path]


@pytest.mark.parametrize(
    ("before", "path"),
    [
        ("cat src/ma", "src/ma"),
        ("cat 'my fi", "my fi"),
        ("cat my\\ fi", "my fi"),
        ('cat "my folder/"no', "my folder/no"),
        ("cat <in", "in"),
        ("a;b", "b"),
    ],
)
def test_a_word_of_a_shell_line(before: str, path: str) -> None:
    typed = shell_word(before)
    assert typed is not None
    assert typed.path == path


def test_a_word_with_a_variable_is_left_alone() -> None:
    assert shell_word("cat ") is None
    typed = shell_word('cat "$HOME/x')
    assert typed is None or typed.path != "$HOME/x"


name = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


def test_a_shell_reads_what_is_written_as_the_same_path(tmp_path: Path) -> None:
    names = ["-n", "a b", "it's", "$HOME", "*", "~", "a\\b", "#x", "!x", "äö", "a;b", "`x`"]
    words = " ".join(str(as_shell_word(one)) for one in names)
    ran = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {words}"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["./-n", *names[1:]]


def test_home_stays_home() -> None:
    assert as_shell_word("~/my notes") == "~/'my notes'"
    assert as_shell_word("~/") == "~/"


@given(name)
def test_a_written_word_is_typed_as_the_same_path(path: str) -> None:
    written = as_shell_word(path)
    assert written is not None
    typed = shell_word(f"cat {written}")
    if "\n" not in path and typed is not None and typed.length == len(written):
        assert typed.path in {path, f"./{path}"}
