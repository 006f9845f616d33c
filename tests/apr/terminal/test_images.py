"""Pictures by path and by clipboard, for models that can be shown them."""

import base64
import os
import shlex
import stat
from pathlib import Path

import pytest

from apr.terminal.clipboard import Program, pasted
from apr.terminal.images import NoPicture, dropped, named, picture
from apr.tools.images import LARGEST
from tests.apr.program import says
from tests.apr.terminal.conftest import Begin
from tests.apr.terminal.terminal import Terminal

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SEES = ("--vision",)


def shown(terminal: Terminal) -> list[str]:
    """The pictures that the model was shown last."""
    content = terminal.model.requests[-1]["messages"][-1]["content"]
    return [part["image_url"]["url"] for part in content if part["type"] == "image_url"]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("@shot.png", ["shot.png"]),
        ("what is @docs/a.jpg, and @b.WEBP?", ["docs/a.jpg", "b.WEBP"]),
        ("see @a.png.", ["a.png"]),
        ('@"my shot.png" please', ["my shot.png"]),
        (r"@my\ shot.png please", ["my shot.png"]),
        ("@file:///tmp/my%20shot.png", ["/tmp/my shot.png"]),
        ("@~/a.gif", ["~/a.gif"]),
        ("me@a.png", []),
        ("@a.png.bak and @b.txt", []),
        ("@a.pngs", []),
    ],
)
def test_pictures_that_a_line_names(text: str, paths: list[str]) -> None:
    assert [path for _, path in named(text)] == paths


def test_what_terminals_paste_for_a_dropped_file(tmp_path: Path) -> None:
    path = tmp_path / "my shot (1).png"
    path.write_bytes(PNG)
    escaped = str(path).replace(" ", "\\ ").replace("(", "\\(").replace(")", "\\)")
    for text in (
        str(path),
        f"{path}\n",
        shlex.quote(str(path)),
        f'"{path}"',
        escaped,
        path.as_uri(),
    ):
        assert dropped(text) == [str(path)]
    other = tmp_path / "b.jpg"
    assert dropped(f"{escaped} {other}") == [str(path), str(other)]
    assert dropped(f"{path.as_uri()}\n{other.as_uri()}") == [str(path), str(other)]


@pytest.mark.parametrize(
    "text", ["", "it's a.png", "see a.png", "a.txt b.png", "x" * 9000 + ".png", "/\0.png c"]
)
def test_other_pastes_are_no_dropped_files(text: str) -> None:
    assert dropped(text) == []


def test_a_picture_is_told_by_its_bytes_and_has_a_size() -> None:
    assert picture(PNG, "a").media_type == "image/png"
    with pytest.raises(NoPicture, match="a: no PNG"):
        picture(b"text", "a")
    with pytest.raises(NoPicture, match="larger than 5,000,000 bytes"):
        picture(PNG + bytes(LARGEST), "a")


def test_a_named_picture_is_shown_to_the_model(begin: Begin, project: Path) -> None:
    (project / "shot.png").write_bytes(PNG)
    terminal = begin(says("A dot."), options=SEES)
    terminal.enter("what is @shot.png ?")
    terminal.until("A dot\\.")
    assert terminal.asked().endswith("what is [Image #1] ?")
    assert shown(terminal) == [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"]


def test_a_dropped_picture_becomes_a_chip(begin: Begin, project: Path) -> None:
    path = project / "my shot.png"
    path.write_bytes(PNG)
    terminal = begin(says("A dot."), options=SEES)
    terminal.type(f"\x1b[200~{shlex.quote(str(path))}\x1b[201~")
    terminal.until("> \\[Image #1\\]")
    path.unlink()  # it has been read
    terminal.enter("what is it?")
    terminal.until("A dot\\.")
    assert terminal.asked().endswith("[Image #1] what is it?")
    assert len(shown(terminal)) == 1


def test_a_model_that_sees_nothing_is_given_the_path(begin: Begin, project: Path) -> None:
    (project / "shot.png").write_bytes(PNG)
    terminal = begin(says("A file."))
    terminal.enter("what is @shot.png ?")
    terminal.until("this model cannot be shown pictures: shot.png is given as a path")
    terminal.until("A file\\.")
    assert terminal.asked().endswith("what is @shot.png ?")


def test_what_is_no_picture_or_must_not_be_read_is_given_as_a_path(
    begin: Begin, project: Path
) -> None:
    (project / "text.png").write_text("no picture")
    (project / "secret.png").write_bytes(PNG)
    terminal = begin(says("Well."), options=(*SEES, "--disallowedTools", "Read(secret.png)"))
    terminal.enter("@text.png @secret.png @gone.png")
    text = terminal.until("Well\\.")
    assert "text.png: no PNG, JPEG, GIF or WebP picture. It is given as a path." in text
    assert "secret.png: the rules do not let the model have it. It is given as a path." in text
    assert "gone.png: there is no such file. It is given as a path." in text
    assert "@text.png @secret.png @gone.png" in terminal.asked()


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_picture_comes_from_the_clipboard(begin: Begin, project: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.png").write_bytes(PNG)
    asked = tmp_path / "asked"
    program(tmp_path / "bin", "wl-paste", f'echo "$@" > {asked}; cat {tmp_path}/clip.png')
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    terminal = begin(says("A dot."), options=SEES, env={"PATH": path})
    terminal.type("\x16")
    terminal.until("> \\[Image #1\\]")
    terminal.enter("what is it?")
    terminal.until("A dot\\.")
    assert len(shown(terminal)) == 1
    assert asked.read_text() == "--no-newline --type image/png\n"


async def test_programs_that_fail_or_hang_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip").write_bytes(b"PNGf" + PNG.hex().encode())
    program(tmp_path / "bin", "fails", "cat clip; exit 1")
    program(tmp_path / "bin", "hangs", "sleep 600 & wait")
    program(tmp_path / "bin", "empty", "exit 0")
    program(tmp_path / "bin", "works", f"cat {tmp_path}/clip")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    others = (
        Program(("none",)),
        Program(("fails",), seconds=60),
        Program(("hangs",), seconds=0.05),
        Program(("empty",), seconds=60),
    )
    works = Program(("works",), lambda output: bytes.fromhex(output[4:].decode()), seconds=60)
    assert (await pasted((*others, works))).content == PNG
    with pytest.raises(
        NoPicture, match=r"no picture in the clipboard \(asked: fails, hangs, empty"
    ):
        await pasted(others)
    with pytest.raises(NoPicture, match="no program is installed"):
        await pasted((Program(("none",)),))


async def test_a_picture_in_the_clipboard_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "endless", "cat /dev/zero")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(NoPicture, match="the picture in the clipboard: larger than"):
        await pasted((Program(("endless",), seconds=60),))
