"""`query()` of the public Agent SDK, with `apr` as its CLI."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from claude_agent_sdk import (
    AgentDefinition,
    AssistantMessage,
    Message,
    ProcessError,
    ResultError,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    TextBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from apr.agent.prompt import SYSTEM
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import calls, says
from tests.apr.sdk.driving import all_of, hear, options, prompt_line, result_of, results

FIX = {"file_path": "src/calc.py", "old_string": "a - b", "new_string": "a + b"}
READ = calls(("Read", {"file_path": "src/calc.py"}), text="I read the file first.")
TASK = [READ, calls(("Edit", FIX), first=2), says("Fixed: add now adds.")]
HELLO = [says("Hello.")]


async def lines(*prompts: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for prompt in prompts:
        yield prompt


async def test_a_task_is_done_and_every_message_is_told(home: Path, project: Path) -> None:
    with serving(ScriptedModel(TASK)) as url:
        told = await all_of("fix add", options(url, project, home, permission_mode="acceptEdits"))
    assert (project / "src/calc.py").read_text() == "def add(a, b):\n    return a + b\n"
    init, read, read_result, _edit, edit_result, answer, result = told
    assert isinstance(init, SystemMessage)
    assert init.subtype == "init"
    assert init.data["cwd"] == str(project)
    assert init.data["permissionMode"] == "acceptEdits"
    assert {"Read", "Edit", "Bash"} <= set(init.data["tools"])
    assert isinstance(read, AssistantMessage)
    assert read.content == [
        TextBlock("I read the file first."),
        ToolUseBlock("toolu_1", "Read", {"file_path": "src/calc.py"}),
    ]
    assert read.usage is not None
    assert (read.usage["input_tokens"], read.usage["cache_read_input_tokens"]) == (40, 60)
    assert read.stop_reason == "tool_use"
    shown = "1\tdef add(a, b):\n2\t    return a - b"
    assert isinstance(read_result, UserMessage)
    assert read_result.content == [ToolResultBlock("toolu_1", shown, is_error=False)]
    assert isinstance(edit_result, UserMessage)
    assert isinstance(answer, AssistantMessage)
    assert isinstance(result, ResultMessage)
    assert (result.subtype, result.is_error) == ("success", False)
    assert (result.num_turns, result.result) == (3, "Fixed: add now adds.")
    assert result.terminal_reason == "completed"
    assert result.session_id == init.data["session_id"] == answer.session_id
    assert result.usage is not None
    assert (result.usage["input_tokens"], result.usage["output_tokens"]) == (120, 30)


async def test_pieces_of_an_answer_are_told_as_they_come(home: Path, project: Path) -> None:
    with serving(ScriptedModel(TASK[:1] + HELLO)) as url:
        told = await all_of("go", options(url, project, home, include_partial_messages=True))
    events = [message.event for message in told if isinstance(message, StreamEvent)]
    first = events[: next(n for n, e in enumerate(events) if e["type"] == "message_stop") + 1]
    assert first[0]["type"] == "message_start"
    assert [e["type"] for e in first if e["type"] != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    deltas = [e["delta"] for e in first if e["type"] == "content_block_delta"]
    assert "".join(d.get("text", "") for d in deltas) == "I read the file first."
    assert json.loads(deltas[-1]["partial_json"]) == {"file_path": "src/calc.py"}
    answers = [message for message in told if isinstance(message, AssistantMessage)]
    assert first[0]["message"]["id"] == answers[0].message_id


async def test_what_needs_consent_is_denied_where_nobody_is_asked(
    home: Path, project: Path
) -> None:
    with serving(ScriptedModel(TASK)) as url:
        told = await all_of("fix", options(url, project, home))
    denials = result_of(told).permission_denials
    assert denials is not None
    assert [denial["tool_name"] for denial in denials] == ["Edit"]
    assert results(told)[1].is_error


async def test_a_run_ends_after_its_last_allowed_turn(home: Path, project: Path) -> None:
    told: list[Message] = []
    with serving(ScriptedModel(TASK)) as url, pytest.raises(ResultError) as failed:
        await hear("fix", options(url, project, home, max_turns=1), told)
    assert result_of(told).subtype == failed.value.subtype == "error_max_turns"
    assert result_of(told).terminal_reason == "max_turns"


async def test_a_server_that_fails_is_the_error_of_the_result(home: Path, project: Path) -> None:
    with serving(ScriptedModel([])) as url, pytest.raises(ResultError, match="not in the record"):
        await all_of("go", options(url, project, home))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, SYSTEM),
        ("You are a poet.", "You are a poet."),
        (
            {"type": "preset", "preset": "claude_code", "append": "Speak German."},
            f"{SYSTEM}\n\nSpeak German.",
        ),
    ],
)
async def test_the_system_prompt_is_the_one_that_is_asked_for(
    home: Path, project: Path, given: Any, expected: str
) -> None:
    model = ScriptedModel(HELLO)
    with serving(model) as url:
        await all_of("hi", options(url, project, home, system_prompt=given))
    assert model.requests[0]["messages"][0] == {"role": "system", "content": expected}


@pytest.mark.parametrize(
    ("tools", "expected"),
    [(["Read", "NotebookEdit"], {"Read", "NotebookEdit"}), ([], set())],
)
async def test_the_tools_are_those_that_are_asked_for(
    home: Path, project: Path, tools: list[str], expected: set[str]
) -> None:
    model = ScriptedModel([calls(("Bash", {"command": "touch made"})), says("I cannot.")])
    with serving(model) as url:
        told = await all_of(
            "hi", options(url, project, home, tools=tools, permission_mode="bypassPermissions")
        )
    offered = {tool["function"]["name"] for tool in model.requests[0].get("tools", [])}
    assert offered == expected
    assert not (project / "made").exists()
    assert results(told)[0].is_error


async def test_rules_allow_and_take_away(home: Path, project: Path) -> None:
    script = [calls(("Bash", {"command": "touch made"})), says("Done.")]
    model = ScriptedModel(script)
    given = {"allowed_tools": ["Bash(touch:*)", "Read"], "disallowed_tools": ["Edit"]}
    with serving(model) as url:
        await all_of("hi", options(url, project, home, **given))
    assert (project / "made").exists()
    assert "Edit" not in {tool["function"]["name"] for tool in model.requests[0]["tools"]}


async def test_other_directories_are_the_projects_own(
    home: Path, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "note.txt").write_text("found it\n")
    script = [calls(("Read", {"file_path": str(tmp_path / "beside" / "note.txt")})), says("Done.")]
    with serving(ScriptedModel(script)) as url:
        told = await all_of("hi", options(url, project, home, add_dirs=[tmp_path / "beside"]))
    assert results(told)[0].content == "1\tfound it"


async def test_settings_may_be_given_as_json(home: Path, project: Path) -> None:
    script = [calls(("Bash", {"command": "touch made"})), says("Done.")]
    settings = json.dumps({"permissions": {"allow": ["Bash(touch:*)"]}})
    with serving(ScriptedModel(script)) as url:
        await all_of("hi", options(url, project, home, settings=settings, setting_sources=[]))
    assert (project / "made").exists()


async def test_files_of_settings_are_read_only_where_that_is_wanted(
    home: Path, project: Path
) -> None:
    (project / "CLAUDE.md").write_text("Be terse.\n")
    model = ScriptedModel(HELLO * 2)
    with serving(model) as url:
        await all_of("hi", options(url, project, home, setting_sources=[]))
        await all_of("hi", options(url, project, home, setting_sources=["project"]))
    alone, told = (request["messages"][1]["content"] for request in model.requests)
    assert "Be terse." not in alone
    assert "Be terse." in told


async def test_an_agent_of_the_program_works_for_the_session(home: Path, project: Path) -> None:
    task = {"description": "count", "prompt": "count the files", "subagent_type": "counter"}
    script = [
        calls(("Agent", task)),
        calls(("Glob", {"pattern": "**/*"}), first=2),
        says("Two files."),
        says("There are two."),
    ]
    counter = AgentDefinition("Counts things", "You count.", tools=["Glob"])
    model = ScriptedModel(script)
    with serving(model) as url:
        told = await all_of("go", options(url, project, home, agents={"counter": counter}))
    init, *_ = told
    assert isinstance(init, SystemMessage)
    assert "counter" in init.data["agents"]
    request = model.requests[1]
    assert request["messages"][0]["content"] == "You count."
    assert [tool["function"]["name"] for tool in request["tools"]] == ["Glob"]
    answers = [m for m in told if isinstance(m, AssistantMessage)]
    assert [m.parent_tool_use_id for m in answers] == [None, "toolu_1", None]
    assert result_of(told).num_turns == 2


async def test_what_a_subagent_says_is_told_where_that_is_wanted(home: Path, project: Path) -> None:
    task = {"description": "think", "prompt": "think", "subagent_type": "general-purpose"}
    script = [calls(("Agent", task)), says("I have thought."), says("Done.")]
    with serving(ScriptedModel(script)) as url:
        told = await all_of("go", options(url, project, home, forward_subagent_text=True))
    said = [m.content for m in told if isinstance(m, AssistantMessage) and m.parent_tool_use_id]
    assert said == [[TextBlock("I have thought.")]]


async def test_a_skill_that_is_not_wanted_is_not_shown(home: Path, project: Path) -> None:
    for name in ("wanted", "other"):
        folder = project / ".claude" / "skills" / name
        folder.mkdir(parents=True)
        (folder / "SKILL.md").write_text(f"---\nname: {name}\ndescription: A skill\n---\nDo it.\n")
    model = ScriptedModel(HELLO)
    with serving(model) as url:
        told = await all_of("hi", options(url, project, home, skills=["wanted"]))
    assert isinstance(told[0], SystemMessage)
    assert told[0].data["skills"] == ["wanted"]
    assert "- other" not in model.requests[0]["messages"][1]["content"]


async def test_notices_come_through_standard_error(home: Path, project: Path) -> None:
    heard: list[str] = []
    script = [says("Hello.")]
    with serving(ScriptedModel(script)) as url:
        await all_of(
            "hi", options(url, project, home, stderr=heard.append, tools=["Read", "NoSuchTool"])
        )
    assert heard == ["apr: there is no built-in tool named NoSuchTool"]


async def test_another_model_is_asked_by_its_name(home: Path, project: Path) -> None:
    model = ScriptedModel(HELLO)
    with serving(model) as url:
        told = await all_of("hi", options(url, project, home, model="qwen-9000"))
    assert model.requests[0]["model"] == "qwen-9000"
    assert isinstance(told[0], SystemMessage)
    assert told[0].data["model"] == "qwen-9000"


async def test_reasoning_is_asked_for_as_servers_understand_it(home: Path, project: Path) -> None:
    model = ScriptedModel(HELLO)
    given: dict[str, Any] = {"thinking": {"type": "disabled"}, "effort": "max"}
    with serving(model) as url:
        await all_of("hi", options(url, project, home, **given))
    assert model.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert model.requests[0]["reasoning_effort"] == "high"


async def test_several_prompts_have_a_result_each(home: Path, project: Path) -> None:
    model = ScriptedModel([says("one"), says("two")])
    with serving(model) as url:
        told = await all_of(
            lines(
                prompt_line("first", uuid="11111111-1111-4111-8111-111111111111"),
                prompt_line("second"),
            ),
            options(url, project, home),
        )
    ends = [message for message in told if isinstance(message, ResultMessage)]
    assert [end.result for end in ends] == ["one", "two"]
    assert [end.num_turns for end in ends] == [1, 1]
    assert ends[0].user_message_uuid == "11111111-1111-4111-8111-111111111111"
    assert ends[1].user_message_uuid is None
    assert [m["role"] for m in model.requests[1]["messages"]][1:] == ["user", "assistant", "user"]


async def test_a_prompt_may_hold_pictures(home: Path, project: Path) -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    source = {"type": "base64", "media_type": "image/png", "data": png}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    model = ScriptedModel(HELLO)
    with serving(model) as url:
        await all_of(lines(prompt_line(content)), options(url, project, home))
    picture, text = model.requests[0]["messages"][1]["content"]
    assert picture["image_url"]["url"] == f"data:image/png;base64,{png}"
    assert text["text"].endswith("What is this?")


@pytest.mark.parametrize(("verbatim", "expanded"), [(False, True), (True, False)])
async def test_a_command_is_looked_up_unless_prompts_are_taken_as_written(
    home: Path, project: Path, verbatim: bool, expanded: bool
) -> None:
    (project / ".claude" / "commands").mkdir(parents=True)
    (project / ".claude" / "commands" / "greet.md").write_text("Greet $ARGUMENTS.\n")
    model = ScriptedModel(HELLO)
    with serving(model) as url:
        await all_of("/greet Ada", options(url, project, home, verbatim_prompts=verbatim))
    said = model.requests[0]["messages"][1]["content"]
    assert ("Greet Ada." in said) is expanded
    assert ("/greet Ada" in said) is not expanded


async def test_a_session_is_gone_on_with(home: Path, project: Path) -> None:
    model = ScriptedModel([says("one"), says("two"), says("three"), says("four")])
    with serving(model) as url:
        first = result_of(await all_of("first", options(url, project, home)))
        second = result_of(
            await all_of("second", options(url, project, home, resume=first.session_id))
        )
        third = result_of(
            await all_of("third", options(url, project, home, continue_conversation=True))
        )
        fork = result_of(
            await all_of(
                "fourth",
                options(url, project, home, resume=first.session_id, fork_session=True),
            )
        )
    assert first.session_id == second.session_id == third.session_id != fork.session_id
    said = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "assistant"]
    assert said == ["one", "two", "three"]


async def test_a_session_may_be_given_its_id(home: Path, project: Path) -> None:
    chosen = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
    model = ScriptedModel(HELLO * 2)
    with serving(model) as url:
        told = await all_of("hi", options(url, project, home, session_id=chosen))
        await all_of("again", options(url, project, home, resume=chosen))
    assert result_of(told).session_id == chosen
    assert len(model.requests[1]["messages"]) == 4


SCHEMA = {
    "type": "object",
    "properties": {"files": {"type": "integer"}},
    "required": ["files"],
}
STRUCTURED = {"output_format": {"type": "json_schema", "schema": SCHEMA}}


async def test_the_answer_is_given_in_the_form_that_is_asked_for(home: Path, project: Path) -> None:
    script = [
        says("There are two files."),  # it forgets the form
        calls(("StructuredOutput", {"files": "two"})),  # and has it wrong
        calls(("StructuredOutput", {"files": 2}), first=2),
        says("Done."),
    ]
    model = ScriptedModel(script)
    with serving(model) as url:
        told = await all_of("count", options(url, project, home, **STRUCTURED))
    assert result_of(told).structured_output == {"files": 2}
    offered = {tool["function"]["name"]: tool["function"] for tool in model.requests[0]["tools"]}
    assert offered["StructuredOutput"]["parameters"] == SCHEMA
    assert "StructuredOutput" in model.requests[1]["messages"][-1]["content"]
    assert "$.files" in model.requests[2]["messages"][-1]["content"]


async def test_a_model_that_never_gives_the_form_is_not_reminded_for_ever(
    home: Path, project: Path
) -> None:
    told: list[Message] = []
    words = [says(f"Answer {number}.") for number in range(6)]
    with serving(ScriptedModel(words)) as url, pytest.raises(ResultError, match="reminded 5 times"):
        await hear("count", options(url, project, home, **STRUCTURED), told)
    assert result_of(told).subtype == "error_max_structured_output_retries"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"permission_mode": "auto"}, "auto"),
        ({"betas": ["context-1m-2025-08-07"]}, "--betas"),
        ({"extra_args": {"no-such-option": None}}, "--no-such-option"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_reason(
    home: Path, project: Path, given: dict[str, Any], reason: str
) -> None:
    heard: list[str] = []
    with serving(ScriptedModel(HELLO)) as url, pytest.raises(ProcessError) as failed:
        await all_of("hi", options(url, project, home, stderr=heard.append, **given))
    assert failed.value.exit_code == 2
    assert any(reason in line for line in heard), heard
    assert not any("Traceback" in line for line in heard)


async def test_why_a_session_cannot_begin_is_what_the_sdk_raises(home: Path, project: Path) -> None:
    with (
        serving(ScriptedModel(HELLO)) as url,
        pytest.raises(Exception, match="no session 'gone'") as failed,
    ):
        await all_of("hi", options(url, project, home, resume="gone"))
    assert not isinstance(failed.value, ProcessError)
