import json
from pathlib import Path
from typing import Any

import pytest

from ccpa.importers.session import NO_PROMPT, NO_RESULT
from ccpa.trace import (
    AssistantTurn,
    Compaction,
    HookEvent,
    SessionEnd,
    SessionStart,
    SkillInvocation,
    ToolResult,
    ToolUseBlock,
    Usage,
    UserPrompt,
)
from tests.ccpa.importers.reading import CURRENT, OLDER, jsonl, only, read

Line = dict[str, Any]


def user(uuid: str, parent: str | None, content: Any, **fields: Any) -> Line:
    message = {"role": "user", "content": content}
    return {"type": "user", "uuid": uuid, "parentUuid": parent, "message": message} | fields


def answer(uuid: str, parent: str | None, *blocks: Line, **fields: Any) -> Line:
    message = {"id": fields.pop("id", uuid), "role": "assistant", "content": list(blocks)}
    return {"type": "assistant", "uuid": uuid, "parentUuid": parent, "message": message} | fields


def text(words: str) -> Line:
    return {"type": "text", "text": words}


def use(name: str, tool: str = "Bash", **tool_input: Any) -> Line:
    return {"type": "tool_use", "id": name, "name": tool, "input": tool_input}


def result(name: str, content: Any = "done", **fields: Any) -> Line:
    return {"type": "tool_result", "tool_use_id": name, "content": content} | fields


def attachment(uuid: str, parent: str, kind: str, **fields: Any) -> Line:
    inner = {"type": kind} | fields
    return {"type": "attachment", "uuid": uuid, "parentUuid": parent, "attachment": inner}


def test_the_session_is_what_leads_to_the_last_line() -> None:
    records, notes = read("claude-code", CURRENT)
    prompts = [prompt.text for prompt in only(records, UserPrompt)]
    assert prompts == [
        "Raise the price of tea to 4 euros. Ask an Explore agent where it is.",
        "/changelog tea",
        "Not in that file. Leave it.",
    ]
    assert notes.skipped["line of an abandoned branch"] == 2


def test_what_the_transcript_says_of_the_session_is_kept() -> None:
    start = only(read("claude-code", CURRENT)[0], SessionStart)[0]
    assert start.session_id == "7c9e6679-7425-70de-944b-e07fc1f90ae7"  # the version digit alone
    assert start.ts == "2026-03-02T09:00:02.000Z"
    assert (start.actor, start.agent_version) == ("claude-code", "2.1.80")
    assert (start.cwd, start.permission_mode) == ("/work/shop", "acceptEdits")
    assert start.cwd_sha256 == "0" * 64


def test_a_transcript_does_not_say_that_the_session_ended() -> None:
    assert only(read("claude-code", CURRENT)[0], SessionEnd) == []


def test_the_lines_of_one_message_are_one_answer() -> None:
    first = only(read("claude-code", CURRENT)[0], AssistantTurn)[0]
    assert [block.__class__.__name__ for block in first.blocks] == ["ThinkingBlock", "ToolUseBlock"]
    assert first.stop_reason == "tool_use"
    assert first.usage == Usage(input_tokens=3124, output_tokens=61, cache_read_tokens=3000)


def test_results_of_tools_that_ran_side_by_side_belong_to_the_session() -> None:
    # Each result hangs on its own tool use, so only one of them is on the path to the last line.
    records, _ = read("claude-code", CURRENT)
    results = [one for one in only(records, ToolResult) if one.turn == 4]
    assert [one.tool_use_id for one in results] == ["toolu_2", "toolu_3"]
    assert NO_RESULT not in {one.content for one in results}


@pytest.mark.parametrize(("path", "parent"), [(CURRENT, "toolu_1"), (OLDER, "toolu_a")])
def test_a_subagent_stands_between_its_tool_use_and_its_result(path: Path, parent: str) -> None:
    """The newer transcript has a file for it; the older one a sidechain with the same prompt."""
    records, notes = read("claude-code", path)
    inside = [at for at, one in enumerate(records) if _parent(one) == parent]
    assert inside == list(range(inside[0], inside[0] + 3))
    assert _ids(records[inside[0] - 1]) == [parent]
    assert getattr(records[inside[-1] + 1], "tool_use_id", None) == parent
    assert "subagent that no tool use is known to have started" not in notes.skipped


def _parent(record: object) -> str | None:
    return getattr(record, "parent_tool_use_id", None)


def _ids(record: object) -> list[str]:
    blocks = record.blocks if isinstance(record, AssistantTurn) else []
    return [block.id for block in blocks if isinstance(block, ToolUseBlock)]


def test_hooks_become_events_with_what_they_said() -> None:
    hooks = only(read("claude-code", CURRENT)[0], HookEvent)
    assert [(one.event, one.decision, one.exit_code, one.output) for one in hooks] == [
        ("SessionStart", "allow", 0, "Prices are in cents."),
        ("PreToolUse", "warn", 1, "no formatter found"),
        ("PreToolUse", "block", 2, "[guard.sh]: no deploys on Mondays"),
        ("Stop", "allow", 0, None),
    ]
    assert [one.turn for one in hooks] == [0, 5, 7, 9]
    assert [one.tool_use_id for one in hooks] == [None, "toolu_4", "toolu_5", None]


def test_hooks_of_older_versions_stand_in_system_messages() -> None:
    hook = only(read("claude-code", OLDER)[0], HookEvent)[0]
    assert (hook.event, hook.decision, hook.tool_use_id) == ("PreToolUse", "allow", "toolu_d")


def test_older_messages_tell_of_hooks_that_failed() -> None:
    said = "PostToolUse:Edit [check.sh] failed with non-blocking status code 3: no such tool"
    system = {"type": "system", "uuid": "s", "parentUuid": "a", "content": said}
    records, _ = read(
        "claude-code", jsonl(user("u", None, "Go."), answer("a", "u", text(".")), system)
    )
    hook = only(records, HookEvent)[0]
    assert (hook.event, hook.decision, hook.exit_code) == ("PostToolUse", "warn", 3)
    assert hook.output == "no such tool"


def test_stop_hooks_that_attachments_tell_of_are_not_told_twice() -> None:
    stop = {"hookName": "Stop", "hookEvent": "Stop", "exitCode": 0, "durationMs": 4}
    summary = {"type": "system", "uuid": "s", "parentUuid": "h", "subtype": "stop_hook_summary"}
    lines = [
        user("u", None, "Go."),
        answer("a", "u", text("Gone.")),
        attachment("h", "a", "hook_success", **stop),
        summary | {"hookInfos": [{"command": "x", "durationMs": 4}], "hookErrors": []},
    ]
    assert len(only(read("claude-code", jsonl(*lines))[0], HookEvent)) == 1


def test_a_summary_of_hooks_does_not_say_which_one_failed() -> None:
    summary = {"type": "system", "uuid": "s", "parentUuid": "a", "subtype": "stop_hook_summary"}
    lines = [
        user("u", None, "Go."),
        answer("a", "u", text("Gone.")),
        summary | {"hookInfos": [{"command": "x"}, {"command": "y"}], "hookErrors": ["no"]},
    ]
    records, notes = read("claude-code", jsonl(*lines))
    assert only(records, HookEvent) == []
    assert notes.skipped["summary of hooks that does not say which one failed"] == 1


def test_a_hook_that_only_the_result_tells_of_is_an_event_too() -> None:
    said = "PreToolUse:Bash hook error: [guard.sh]: not today"
    records, _ = read(
        "claude-code",
        jsonl(
            user("u", None, "Go."),
            answer("a", "u", use("t", command="ls")),
            user("r", "a", [result("t", said, is_error=True)]),
        ),
    )
    assert [one.decision for one in only(records, HookEvent)] == ["block"]
    assert only(records, ToolResult)[0].denied_by == "hook"


@pytest.mark.parametrize(
    ("said", "who"),
    [
        ("The user doesn't want to proceed with this tool use. The tool use was rejected", "user"),
        ("Permission to use Bash with command rm -rf / has been denied.", "rule"),
        ("Claude requested permissions to use Bash, but you haven't granted it yet.", "mode"),
        ("Hook PreToolUse:Bash denied this tool", "hook"),
        ("Exit code 1\nThe user doesn't want to proceed with this tool use.", None),
    ],
)
def test_the_text_of_an_error_says_who_denied(said: str, who: str | None) -> None:
    lines = [
        user("u", None, "Go."),
        answer("a", "u", use("t", command="ls")),
        user("r", "a", [result("t", said, is_error=True)]),
    ]
    found = only(read("claude-code", jsonl(*lines))[0], ToolResult)[0]
    assert (found.ok, found.denied_by) == (False, who)


def test_a_result_that_is_no_error_was_not_denied_whatever_it_says() -> None:
    lines = [
        user("u", None, "Go."),
        answer("a", "u", use("t", command="cat log")),
        user("r", "a", [result("t", "Permission to use Bash has been denied.")]),
    ]
    found = only(read("claude-code", jsonl(*lines))[0], ToolResult)[0]
    assert (found.ok, found.denied_by) == (True, None)


def test_side_effects_are_what_the_transcript_says_of_them() -> None:
    results = {one.tool_use_id: one for one in only(read("claude-code", CURRENT)[0], ToolResult)}
    read_file = results["toolu_2"].side_effects
    ran = results["toolu_3"].side_effects
    edited = results["toolu_4"].side_effects
    assert read_file is not None
    assert read_file.files_read == ["menu.py"]
    assert ran is not None
    assert ran.exit_code == 0
    assert edited is not None
    assert edited.files_written == ["menu.py"]
    assert results["toolu_6"].side_effects is None  # it was denied
    failed = {one.tool_use_id: one for one in only(read("claude-code", OLDER)[0], ToolResult)}
    assert failed["toolu_e"].side_effects is not None
    assert failed["toolu_e"].side_effects.exit_code == 127


def test_a_command_in_the_background_has_no_exit_code_yet() -> None:
    facts = {"stdout": "", "stderr": "", "interrupted": False, "backgroundTaskId": "b1"}
    lines = [
        user("u", None, "Go."),
        answer("a", "u", use("t", command="sleep 9", run_in_background=True)),
        user("r", "a", [result("t", "Running with ID b1")], toolUseResult=facts),
    ]
    assert only(read("claude-code", jsonl(*lines))[0], ToolResult)[0].side_effects is None


def test_a_compaction_keeps_its_sizes_and_is_no_prompt() -> None:
    records, _ = read("claude-code", CURRENT)
    compaction = only(records, Compaction)[0]
    assert compaction.trigger == "manual"
    assert (compaction.tokens_before, compaction.tokens_after) == (3400, 524)
    assert compaction.summary_sha256 is not None


def test_a_command_that_expands_is_a_prompt_and_a_skill() -> None:
    records, notes = read("claude-code", CURRENT)
    skill = only(records, SkillInvocation)[0]
    assert (skill.name, skill.source, skill.instructions_injected) == (
        "changelog",
        "user_invoked",
        True,
    )
    assert notes.skipped["command that the model did not see"] == 1  # /model


def test_a_skill_that_the_model_chose_follows_the_result_of_its_tool() -> None:
    lines = [
        user("u", None, "Migrate."),
        answer("a", "u", use("t", "Skill", skill="migrations")),
        user("r", "a", [result("t", "Launching skill: migrations")]),
        user("m", "r", "Base directory for this skill: /x\n\nUse SQL.", isMeta=True),
        answer("b", "m", text("Done.")),
    ]
    records, _ = read("claude-code", jsonl(*lines))
    skill = only(records, SkillInvocation)[0]
    assert (skill.turn, skill.name, skill.source) == (2, "migrations", "auto_matched")
    assert skill.instructions_injected
    assert len(only(records, UserPrompt)) == 1


def test_a_missing_parent_does_not_lose_what_came_before() -> None:
    lines = [
        user("u", None, "Go."),
        answer("a", "u", text("One.")),
        user("v", "a progress line that was not kept", "More."),
        answer("b", "v", text("Two.")),
    ]
    records, notes = read("claude-code", jsonl(*lines))
    assert [prompt.text for prompt in only(records, UserPrompt)] == ["Go.", "More."]
    assert notes.marked["line whose parent is missing"] == 1


def test_without_any_parents_the_lines_are_a_list() -> None:
    lines = [user("u", None, "Go."), answer("a", None, text("One.")), user("v", None, "More.")]
    records, notes = read("claude-code", jsonl(*lines))
    assert len(records) == 4
    assert not notes.skipped


def test_a_circle_of_parents_ends() -> None:
    lines = [user("u", "a", "Go."), answer("a", "u", text("One."))]
    records, notes = read("claude-code", jsonl(*lines))
    assert len(records) == 3
    assert notes.skipped["circle of parents"] == 1


def test_a_repeated_uuid_is_taken_once() -> None:
    lines = [user("u", None, "Go."), answer("a", "u", text("One.")), user("u", None, "Go.")]
    records, notes = read("claude-code", jsonl(*lines))
    assert len(only(records, UserPrompt)) == 1
    assert notes.skipped["line with the uuid of another one"] == 1


def test_a_tool_use_that_was_never_answered_says_so() -> None:
    lines = [
        user("u", None, "Go."),
        answer("a", "u", use("t", command="ls")),
        user("v", "a", "Stop that."),
        answer("b", "v", text("Stopped.")),
    ]
    records, notes = read("claude-code", jsonl(*lines))
    found = only(records, ToolResult)[0]
    assert (found.content, found.ok) == (NO_RESULT, False)
    assert notes.marked["tool use without a result"] == 1


def test_an_answer_to_no_prompt_says_so() -> None:
    records, notes = read("claude-code", jsonl(answer("a", None, text("Hello."))))
    assert only(records, UserPrompt)[0].text == NO_PROMPT
    assert notes.marked["answer to no prompt"] == 1


def test_what_no_model_said_is_no_answer() -> None:
    error = answer("e", "u", text("API Error: 529"), isApiErrorMessage=True)
    error["message"]["model"] = "<synthetic>"
    lines = [user("u", None, "Go."), error, answer("a", "e", text("One."))]
    records, notes = read("claude-code", jsonl(*lines))
    assert len(only(records, AssistantTurn)) == 1
    assert notes.skipped["message that no model said"] == 1


def test_a_message_that_waited_in_the_queue_is_a_prompt() -> None:
    lines = [
        user("u", None, "Go."),
        answer("a", "u", use("t", command="ls")),
        user("r", "a", [result("t")]),
        attachment("q", "r", "queued_command", prompt="And the tests."),
        answer("b", "q", text("Both.")),
    ]
    prompts = only(read("claude-code", jsonl(*lines))[0], UserPrompt)
    assert [prompt.text for prompt in prompts] == ["Go.", "And the tests."]


def test_an_image_in_a_prompt_leaves_a_marker() -> None:
    content = [{"type": "image", "source": {"data": "…"}}, text("What is this?")]
    records, _ = read(
        "claude-code", jsonl(user("u", None, content), answer("a", "u", text("Tea.")))
    )
    assert only(records, UserPrompt)[0].text == "«image»\nWhat is this?"


def test_a_forked_session_names_the_one_it_came_from() -> None:
    fork = {"sessionId": "the-first", "messageUuid": "x"}
    lines = [user("u", None, "Go.", forkedFrom=fork), answer("a", "u", text("One."))]
    start = only(read("claude-code", jsonl(*lines))[0], SessionStart)[0]
    assert start.parent_session_id == "the-first"


def test_subagents_beside_the_session_are_those_of_the_session(tmp_path: Path) -> None:
    session = tmp_path / "s.jsonl"
    facts = {"agentId": "mine"}
    session.write_bytes(
        jsonl(
            user("u", None, "Go.", sessionId="s"),
            answer("a", "u", use("t", "Task", prompt="Look.")),
            user("r", "a", [result("t")], toolUseResult=facts),
        )
    )
    for name, owner in (("mine", "s"), ("other", "another session")):
        lines = [
            user("x", None, "Look.", sessionId=owner, isSidechain=True),
            answer("y", "x", text(f"Seen by {name}."), isSidechain=True),
        ]
        (tmp_path / f"agent-{name}.jsonl").write_bytes(jsonl(*lines))
    records, notes = read("claude-code", session)
    assert [json.dumps(_parent(one)) for one in only(records, AssistantTurn)] == ["null", '"t"']
    assert not notes.skipped


def test_a_subagent_of_an_abandoned_branch_is_counted() -> None:
    side = {"isSidechain": True, "agentId": "x"}
    lines = [
        user("u", None, "Go."),
        answer("a", "u", use("t", "Task", prompt="Look.")),
        user("s", None, "Look.", **side),
        answer("w", "s", text("Seen."), **side),
        user("v", None, "Start over."),
        answer("b", "v", text("Done.")),
    ]
    records, notes = read("claude-code", jsonl(*lines))
    assert len(only(records, AssistantTurn)) == 1
    assert notes.skipped["subagent of a tool use that is not in the session"] == 1
