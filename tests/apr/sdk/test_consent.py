"""`can_use_tool`: the program gives consent in a person's place, and may change what is asked."""

import json
from pathlib import Path
from typing import Any

from claude_agent_sdk import (
    ClaudeSDKClient,
    PermissionResult,
    PermissionResultAllow,
    PermissionResultDeny,
    PermissionUpdate,
    ToolPermissionContext,
)
from claude_agent_sdk.types import PermissionRuleValue

from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import calls, says
from tests.apr.sdk.driving import all_of, ask, options, result_of

WRITE = {"file_path": "new.txt", "content": "hello\n"}
SCRIPT = [calls(("Write", WRITE)), says("Done.")]


class Person:
    """Answers what it is told to answer, and remembers what it was asked."""

    def __init__(self, *answers: PermissionResult) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any], ToolPermissionContext]] = []

    async def __call__(
        self, tool: str, given: dict[str, Any], context: ToolPermissionContext
    ) -> PermissionResult:
        self.asked.append((tool, given, context))
        return self.answers.pop(0)


async def test_what_the_program_allows_is_done(home: Path, project: Path) -> None:
    person = Person(PermissionResultAllow())
    with serving(ScriptedModel(SCRIPT)) as url:
        await all_of("write", options(url, project, home, can_use_tool=person))
    tool, given, context = person.asked[0]
    assert (tool, given, context.tool_use_id) == ("Write", WRITE, "toolu_1")
    assert context.blocked_path == str(project / "new.txt")
    assert "needs consent" in (context.decision_reason or "")
    assert [update.mode for update in context.suggestions] == ["acceptEdits"]
    assert (project / "new.txt").read_text() == "hello\n"


async def test_what_it_denies_is_not_and_the_model_is_told_why(home: Path, project: Path) -> None:
    model = ScriptedModel(SCRIPT)
    person = Person(PermissionResultDeny(message="Not on a Friday."))
    with serving(model) as url:
        told = await all_of("write", options(url, project, home, can_use_tool=person))
    assert "Not on a Friday." in model.requests[1]["messages"][-1]["content"]
    assert not (project / "new.txt").exists()
    denials = result_of(told).permission_denials
    assert denials is not None
    assert denials[0]["tool_use_id"] == "toolu_1"


async def test_it_may_change_the_input(home: Path, project: Path) -> None:
    person = Person(PermissionResultAllow(updated_input={**WRITE, "file_path": "other.txt"}))
    with serving(ScriptedModel(SCRIPT)) as url:
        await all_of("write", options(url, project, home, can_use_tool=person))
    assert (project / "other.txt").exists()
    assert not (project / "new.txt").exists()


async def test_it_may_end_the_work(home: Path, project: Path) -> None:
    person = Person(PermissionResultDeny(message="Stop.", interrupt=True))
    with serving(ScriptedModel([*SCRIPT, says("unreached")])) as url:
        async with ClaudeSDKClient(options(url, project, home, can_use_tool=person)) as client:
            told = await ask(client, "write")
    assert result_of(told).terminal_reason == "aborted_streaming"


async def test_it_may_allow_more_from_then_on(home: Path, project: Path) -> None:
    rule = PermissionRuleValue("Bash", "touch:*")
    update = PermissionUpdate("addRules", rules=[rule], behavior="allow")
    person = Person(PermissionResultAllow(updated_permissions=[update]))
    script = [
        calls(("Bash", {"command": "touch one"})),
        calls(("Bash", {"command": "touch two"}), first=2),
        says("Done."),
    ]
    with serving(ScriptedModel(script)) as url:
        await all_of("go", options(url, project, home, can_use_tool=person))
    assert (project / "two").exists()
    assert len(person.asked) == 1
    assert not (project / ".apr").exists()


async def test_what_it_wants_to_keep_goes_into_the_settings(home: Path, project: Path) -> None:
    script = [calls(("Bash", {"command": "touch one"})), says("Done.")]
    with serving(ScriptedModel(script * 2)) as url:
        first = Person()

        async def as_suggested(
            tool: str, given: dict[str, Any], context: ToolPermissionContext
        ) -> PermissionResult:
            return PermissionResultAllow(updated_permissions=context.suggestions)

        await all_of("go", options(url, project, home, can_use_tool=as_suggested))
        (project / "one").unlink()
        await all_of("again", options(url, project, home, can_use_tool=first))
    kept = json.loads((project / ".apr" / "settings.local.json").read_text())
    assert kept == {"permissions": {"allow": ["Bash(touch one)"]}}
    assert (project / "one").exists()


async def test_it_may_change_the_mode_and_the_directories(
    home: Path, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "beside").mkdir()
    outside = {**WRITE, "file_path": str(tmp_path / "beside" / "new.txt")}
    updates = [
        PermissionUpdate("setMode", mode="acceptEdits"),
        PermissionUpdate("addDirectories", directories=[str(tmp_path / "beside")]),
    ]
    person = Person(PermissionResultAllow(updated_permissions=updates))
    script = [calls(("Write", WRITE)), calls(("Write", outside), first=2), says("Done.")]
    with serving(ScriptedModel(script)) as url:
        await all_of("go", options(url, project, home, can_use_tool=person))
    assert (tmp_path / "beside" / "new.txt").exists()


async def test_a_callback_that_fails_is_a_denial(home: Path, project: Path) -> None:
    async def broken(*_given: Any) -> PermissionResult:
        raise RuntimeError("out of order")

    model = ScriptedModel(SCRIPT)
    with serving(model) as url:
        await all_of("write", options(url, project, home, can_use_tool=broken))
    assert "out of order" in model.requests[1]["messages"][-1]["content"]
    assert not (project / "new.txt").exists()


async def test_a_question_of_the_model_is_answered_by_the_program(
    home: Path, project: Path
) -> None:
    question = {
        "question": "Which colour?",
        "header": "Colour",
        "options": [{"label": "Red"}, {"label": "Blue"}],
    }
    asked = {"questions": [question]}
    model = ScriptedModel([calls(("AskUserQuestion", asked)), says("Blue it is.")])

    async def choose(
        tool: str, given: dict[str, Any], context: ToolPermissionContext
    ) -> PermissionResult:
        return PermissionResultAllow(updated_input={**given, "answers": {"Which colour?": "Blue"}})

    with serving(model) as url:
        await all_of("paint it", options(url, project, home, can_use_tool=choose))
    offered = {tool["function"]["name"] for tool in model.requests[0]["tools"]}
    assert "AskUserQuestion" in offered
    assert model.requests[1]["messages"][-1]["content"] == "The user answered: Blue"
