"""What a directory holds that begins like what was typed."""

from pathlib import Path

import pytest

from apr.terminal.entries import beginning


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("src/main.c", "src/.hidden", "Setup.py", "my notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def test_what_begins_so_capitals_apart(place: Path) -> None:
    assert beginning("s", place) == ["src/", "Setup.py"]
    assert beginning("S", place) == ["Setup.py", "src/"]


def test_hidden_ones_only_where_a_dot_is_typed(place: Path) -> None:
    assert beginning("src/", place) == ["src/main.c"]
    assert beginning("src/.", place) == ["src/.hidden"]


def test_absolute_paths_and_home(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place))
    assert beginning("~/my", Path("/")) == ["~/my notes.txt"]
    assert beginning(f"{place}/src/m", Path("/")) == [f"{place}/src/main.c"]


def test_links_are_what_they_lead_to(place: Path) -> None:
    (place / "link").symlink_to(place / "src")
    (place / "circle").symlink_to(place / "circle")
    assert beginning("li", place) == ["link/"]
    assert beginning("ci", place) == ["circle"]


@pytest.mark.parametrize("typed", ["gone/x", "Setup.py/x", "~nobody-of-this-name/x", "a\0/x"])
def test_there_is_nothing(place: Path, typed: str) -> None:
    assert beginning(typed, place) == []


def test_names_that_a_terminal_cannot_show_are_not_offered(place: Path) -> None:
    (place / "src/main\x1b[2J").write_text("x")
    assert beginning("src/m", place) == ["src/main.c"]
