"""The line at the bottom: what is on it, and what drops out where there is too little room."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth

from apr.terminal.fitting import cut
from apr.terminal.statusline import Part, StatusLine, fitted
from tests.apr.terminal.commands.conftest import Person, Sit
from tests.apr.terminal.commands.conftest import sit as sit

PARTS = st.lists(
    st.builds(Part, st.text(alphabet="ab漢", min_size=1, max_size=20), st.integers(1, 9)),
    min_size=1,
    max_size=9,
)


class Nobody:
    """Nobody is asked anything."""

    waits = False


def status(person: Person, waiting: int = 0) -> StatusLine:
    return StatusLine(
        person.desk,
        Nobody(),  # type: ignore[arg-type]
        waiting=lambda: waiting,
        redraw=lambda: None,
    )


@given(PARTS, st.integers(0, 100))
def test_it_is_never_wider_than_the_terminal(parts: list[Part], width: int) -> None:
    assert get_cwidth(fitted(parts, width)) <= width


@given(PARTS, st.integers(1, 100))
def test_what_is_worth_least_drops_out_first(parts: list[Part], width: int) -> None:
    shown = fitted(parts, width)
    whole = " · ".join(part.text for part in parts)
    if get_cwidth(whole) <= width:
        assert shown == whole
    else:
        assert shown.count(" · ") < len(parts)


def test_parts_stay_in_their_order() -> None:
    parts = [Part("model", 2), Part("mode", 3), Part("branch", 1)]
    assert fitted(parts, 80) == "model · mode · branch"
    assert fitted(parts, 20) == "model · mode"
    assert fitted(parts, 10) == "mode"
    assert fitted(parts, 3) == "mo…"


@given(st.text(alphabet="a漢é", max_size=30), st.integers(0, 20))
def test_a_text_is_cut_where_it_would_be_too_wide(text: str, width: int) -> None:
    assert get_cwidth(cut(text, width)) <= width


async def test_it_says_how_things_stand(sit: Sit, project: Path) -> None:
    subprocess.run(("git", "init", "-q", "-b", "topic"), cwd=project, check=True)
    person = sit({"hi": ["Hello."]}, width=120)
    assert status(person)() == "m · default · topic · 0 tokens · $0.00"
    person.desk.sinks.append(person.desk.screen)
    await person.prompt("hi")
    person.desk.screen.doing = "reading"
    line = status(person, waiting=2)()
    assert isinstance(line, str)
    assert line.startswith("m · default · topic · 110 tokens")
    assert line.endswith(" · $0.00 · reading… · 2 waiting")


async def test_the_branch_of_a_worktree_is_its_own(sit: Sit, project: Path) -> None:
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (
        ("init", "-q", "-b", "main"),
        ("commit", "-q", "--allow-empty", "-m", "x"),
        ("worktree", "add", "-q", "-b", "side", str(project.parent / "side")),
    ):
        subprocess.run((*git, *words), cwd=project, check=True)
    from tests.apr.terminal.commands.conftest import Person

    person = Person((project.parent / "side").resolve(), {}, {}, 80)
    assert "side" in status(person)()


async def test_a_branchs_name_cannot_drive_the_terminal(sit: Sit, project: Path) -> None:
    (project / ".git").mkdir()
    (project / ".git/HEAD").write_text("ref: refs/heads/a\x1b[2Jb\n")
    assert "\x1b" not in status(sit())()


@pytest.mark.parametrize("width", [1, 8, 20, 40])
async def test_narrow_terminals_show_what_matters_most(sit: Sit, width: int) -> None:
    person = sit(width=width)
    shown = status(person)()
    assert isinstance(shown, str)
    assert get_cwidth(shown) <= width
    if width >= 8:
        assert "default" in shown
