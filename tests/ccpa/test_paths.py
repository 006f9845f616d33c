import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccpa.paths import Root, is_windows, relative

ROOT = Root("/home/dev/shop")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.py", "a.py"),
        ("./a.py", "a.py"),
        ("src//a.py", "src/a.py"),
        ("src/./x/../a.py", "src/a.py"),
        ("src/", "src"),
        ("/home/dev/shop/a.py", "a.py"),
        ("/home/dev/shop/", "."),
        ("/home/dev/./shop//a.py", "a.py"),
        ("../shop/a.py", "a.py"),
        (".", "."),
        ("", "."),
        ("../notes.md", "/home/dev/notes.md"),
        ("/home/dev/notes.md", "/home/dev/notes.md"),
        ("..", "/home/dev"),
        ("/etc/../etc/hosts", "/etc/hosts"),
        ("/../..", "/"),
        ("/home/dev/shopping/a.py", "/home/dev/shopping/a.py"),
    ],
)
def test_a_path_is_where_it_leads_from_the_root(path: str, expected: str) -> None:
    assert relative(path, ROOT) == expected


def test_the_same_file_of_two_runs_is_one() -> None:
    other = Root("/tmp/run-7")
    assert relative("/tmp/run-7/src/a.py", other) == relative("/home/dev/shop/src/a.py", ROOT)


def test_without_a_working_directory_paths_stay_as_they_are() -> None:
    assert relative("/a/./b", Root()) == "/a/b"
    assert relative("../b", Root()) == "../b"


def test_a_symlinked_root_has_several_spellings() -> None:
    root = Root("/home/dev/shop", aliases=("/srv/shop", "/home/dev"))
    assert relative("/srv/shop/a.py", root) == "a.py"
    assert relative("/home/dev/shop/a.py", root) == "a.py"  # the most exact spelling counts


@pytest.mark.parametrize("cwd", ["/tmp/w", "/private/tmp/w"])
@pytest.mark.parametrize("path", ["/tmp/w/a", "/private/tmp/w/a", "a"])
def test_on_macos_the_private_spelling_is_the_same(cwd: str, path: str) -> None:
    assert relative(path, Root(cwd)) == "a"


def test_private_is_a_name_like_any_other_elsewhere() -> None:
    assert relative("/private/tmpfiles/a", Root()) == "/private/tmpfiles/a"


def test_case_counts_unless_the_platform_says_otherwise() -> None:
    assert relative("README.md", ROOT) != relative("readme.md", ROOT)
    windows = Root("C:\\Work\\Shop", fold_case=True)
    assert relative("c:/work/shop/README.md", windows) == "readme.md"
    assert relative("SRC\\a.py", windows) == relative("src/a.py", windows)


def test_a_backslash_is_a_letter_where_the_platform_says_so() -> None:
    assert relative("a\\b", ROOT) == "a\\b"


def test_windows_is_known_by_its_drive() -> None:
    assert is_windows("C:\\x")
    assert not is_windows("/c:/x")
    assert not is_windows(None)


PATHS = st.text("ab./", max_size=12)


@given(PATHS)
def test_a_path_made_relative_stays_so(path: str) -> None:
    once = relative(path, ROOT)
    assert relative(once, ROOT) == once


@given(PATHS)
def test_the_absolute_spelling_is_the_same_file(path: str) -> None:
    if not path.startswith("/"):
        assert relative(f"{ROOT.cwd}/{path}", ROOT) == relative(path, ROOT)
