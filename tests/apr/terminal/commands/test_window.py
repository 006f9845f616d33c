"""What fills the context, as it is drawn."""

from pathlib import Path

import pytest

from apr.agent.compaction import CHARACTERS_A_TOKEN
from apr.engine import state
from apr.engine.process import end
from apr.providers.base import (
    AssistantMessage,
    Request,
    ToolAnswer,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from apr.providers.local import LocalModel
from apr.terminal.commands.window import divided, drawn, tokens
from ccpa.trace import TextBlock
from tests.apr.terminal.commands.conftest import Sit

PREFACE = (
    "<environment>\nDate: today\n</environment>\n\n<instructions>\n\nBe brief.\n</instructions>\n\n"
    "Agents for the Agent tool:\n- Plan: plans\n\nSkills:\n- deploy: ships it\n\n"
)
TOOLS = (
    ToolSpec("Read", "reads", {}),
    ToolSpec("mcp__x__y", "does", {}),
)
KNOWN = {"Hidden": lambda: ToolSpec("Hidden", "is known", {})}


def test_every_piece_of_a_request_is_what_it_is() -> None:
    messages = (
        UserMessage(f'{PREFACE}fix it\n\n<file path="a.py">\nx = 1\n</file>'),
        AssistantMessage((TextBlock("I look."),)),
        ToolMessage(
            (
                ToolAnswer("1", "Read", "1\tread\n\n<instructions>\n\nnested\n</instructions>"),
                ToolAnswer("2", "Bash", "ran"),
                ToolAnswer("3", "Read", "no such file", ok=False),
            )
        ),
    )
    parts = divided(Request(system="SYSTEM", messages=(), tools=TOOLS, known=KNOWN), messages, "")
    assert parts["system prompt"] == "SYSTEM"
    assert "Read" in parts["tools"]
    assert "Hidden" not in "".join(parts.values())
    assert "mcp__x__y" in parts["MCP tools"]
    assert "Date: today" in parts["environment"]
    assert "Be brief." in parts["memory"]
    assert "nested" in parts["memory"]
    assert "- Plan: plans" in parts["skills and agents"]
    assert "- deploy: ships it" in parts["skills and agents"]
    assert "x = 1" in parts["files read"]
    assert "1\tread" in parts["files read"]
    assert parts["other tool results"].split() == ["ran", "no", "such", "file"]
    assert "fix it" in parts["prompts and answers"]
    assert "I look." in parts["prompts and answers"]


def test_before_the_first_prompt_what_will_stand_before_it_counts() -> None:
    parts = divided(Request(system="S", messages=()), (), PREFACE)
    assert "Be brief." in parts["memory"]
    assert not parts["prompts and answers"].strip()


def test_what_is_drawn_adds_up() -> None:
    lines = drawn({"system prompt": 100, "tools": 300, "memory": 0}, 1000, "counted", 80)
    assert lines[0] == "█" * 7 + "▓" * 22 + "·" * 43
    assert [line.split()[-3] for line in lines[1:-1]] == ["100", "300", "600"]
    assert lines[-1] == "400 of 1,000 tokens (40 %) are taken, counted."


def test_more_than_there_is_room_for_is_drawn_too() -> None:
    lines = drawn({"system prompt": 900, "tools": 300}, 1000, "counted", 80)
    assert "·" not in lines[0]
    assert "(120 %)" in lines[-1]


async def test_without_an_engine_tokens_are_estimated_and_that_is_said(sit: Sit) -> None:
    person = sit({"hi": ["Hello."]})
    assert "estimated" in await person.type("/context")
    await person.prompt("hi")
    shown = await person.type("/context")
    assert "prompts and answers" in shown
    assert f"a token for {CHARACTERS_A_TOKEN:.0f} characters" in shown


async def test_a_local_models_own_tokenizer_counts(
    home: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APR_HOME", str(home / ".apr"))
    model = LocalModel(tiny, "tiny", context=512, keep_alive=60)
    try:
        assert await tokens(model, ["before there is an engine"]) is None
        await model.load(lambda _text: None)
        counted = await tokens(model, ["", "a", "a" * 50])
        assert counted is not None
        assert counted[0] == 0
        assert 0 < counted[1] < counted[2] <= 50
    finally:
        await model.close()
        for _, engine in state.running(state.directory()):
            end(engine.pid, engine.started)
