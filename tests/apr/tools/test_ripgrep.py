import asyncio
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from apr.tools import ripgrep
from apr.tools.errors import ToolError

PACKAGED = str(Path(sysconfig.get_path("scripts"), "rg"))


@pytest.fixture(autouse=True)
def no_choice_is_remembered() -> Iterator[None]:
    ripgrep.program.cache_clear()
    yield
    ripgrep.program.cache_clear()


def system_rg(folder: Path, script: str) -> str:
    """Put a program called rg into a folder."""
    program = folder / "rg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_the_packaged_program_is_found_without_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert ripgrep.program() == PACKAGED


def test_a_newer_one_of_the_system_is_preferred(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newer = system_rg(tmp_path, "echo 'ripgrep 99.0.1 (rev 0)'")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert ripgrep.program() == newer


def test_without_the_packaged_one_the_system_s_must_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: "/nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"ripgrep .* is not installed"):
        ripgrep.program()
    system = system_rg(tmp_path, "exit 1")
    assert ripgrep.program() == system


@pytest.mark.parametrize("script", ["echo ripgrep 9.9.9", "exit 1", "echo", "echo ripgrep new"])
def test_an_older_or_odd_one_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    system_rg(tmp_path, script)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert ripgrep.program() == PACKAGED


async def test_output_is_read_only_as_far_as_it_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("line\n" * 300_000)
    found = await ripgrep.search(["--regexp=line"], folder=tmp_path, lines=3)
    assert found.lines == ["a:line"] * 3
    assert found.cut


async def test_output_is_bounded_where_no_limit_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ripgrep, "BYTES", 100_000)
    (tmp_path / "a").write_text("line\n" * 100_000)
    found = await ripgrep.search(["--regexp=line"], folder=tmp_path)
    assert found.cut
    assert set(found.lines) == {"a:line"}
    assert len(found.lines) * len("a:line\n") <= ripgrep.BYTES + (1 << 16)


async def test_a_search_that_takes_too_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ripgrep, "SECONDS", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ToolError, match="The search took more than"):
        await ripgrep.search(["--regexp=x", "pipe"], folder=tmp_path)


async def test_a_cancelled_search_leaves_no_process(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    task = asyncio.create_task(ripgrep.search(["--regexp=x", "pipe"], folder=tmp_path))
    writer = await asyncio.to_thread(os.open, tmp_path / "pipe", os.O_WRONLY)  # rg has it open now
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"x")
    os.close(writer)


async def test_lines_of_a_text_are_matched() -> None:
    assert await ripgrep.matching("^b|é", "a\nb\né\n") == "b\né\n"
    with pytest.raises(ToolError, match="regex parse error"):
        await ripgrep.matching("(", "")
