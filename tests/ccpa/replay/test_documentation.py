"""What docs/replay.md shows really happens."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from ccpa.agents import find_agent
from ccpa.cli.main import main
from ccpa.replay import outcomes
from ccpa.replay.gate import read_expected
from ccpa.sandbox import unavailable

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def settled(text: str) -> list[str]:
    return re.sub(r"\d\.\d\d s each", "0.00 s each", text).splitlines()


@pytest.mark.skipif(unavailable() is not None, reason=f"no sandbox here: {unavailable()}")
def test_the_example_prints_what_it_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    command, _, shown = blocks("console")[0].removeprefix("$ ").partition("\n")
    assert main(shlex.split(command)[1:]) == 0
    assert settled(capsys.readouterr().out) == settled(shown)


def test_the_rules_are_those_of_the_code() -> None:
    rows = [line for line in (outcomes.__doc__ or "").splitlines() if line.startswith("|")]
    assert len(rows) > 5
    assert "\n".join(rows) in PAGE


def test_the_files_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    expected, described = blocks("toml")
    (tmp_path / "expected.toml").write_text(expected)
    assert not read_expected(tmp_path / "expected.toml")["multi-prompt-correction-go"].replayable
    (tmp_path / "my-agent.toml").write_text(described)
    agent = find_agent(str(tmp_path / "my-agent.toml"))
    assert (agent.name, agent.writes_trace) == (tomllib.loads(described)["name"], True)
    assert agent.tools["Bash"].name == "shell"
