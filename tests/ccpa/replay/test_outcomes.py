"""What of a tool's result counts: the rules, one tool at a time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccpa.paths import Root
from ccpa.replay.outcomes import Use, difference, uses
from ccpa.trace import AssistantTurn, ToolResult, ToolUseBlock

ROOT = Root("/workspace")


def use(tool: str, content: str, *, given: dict[str, Any] | None = None, **fields: Any) -> Use:
    result = ToolResult(
        v=1, turn=2, tool_use_id="a", ok=fields.pop("ok", True), content=content, **fields
    )
    return Use(ToolUseBlock("a", tool, given or {}), result, ROOT)


def same(tool: str, left: str, right: str, **fields: Any) -> bool:
    found = difference(use(tool, left, **fields), use(tool, right, **fields))
    assert found is None or found[0] != found[1]
    return found is None


@pytest.mark.parametrize(
    ("tool", "left", "right"),
    [
        ("Edit", "The file /workspace/a.py has been updated.", "Edited /workspace/a.py."),
        ("Write", "File created successfully at: a", "Created a."),
        ("Read", "1\ta\n2\tb", "     1\ta\n     2\tb\n[lines 1-2 of 9; for more, set offset]"),
        ("Read", "(The file is empty)", "[the file is empty]"),
        ("Glob", "/workspace/a.py\n/workspace/b.py", "b.py\n./a.py"),
        ("Glob", "No files found", "[no files match]"),
        ("Grep", "Found 2 files\na.py\nb.py", "/workspace/b.py\n/workspace/a.py"),
        ("Grep", "a.py:3:x = 1\n--\na.py-4-y", "/workspace/a.py:3:x = 1\n/workspace/a.py-4-y"),
        ("Grep", "No matches found", "[no matches]"),
        ("Bash", "Ran 3 tests in 0.002s\n\nOK\n", "Ran 3 tests in 1.517s\n\nOK"),
        ("Bash", "(Bash completed with no output)", "[no output]"),
        ("BashOutput", "[ended]\nready", "[ended with exit code 0]\nready"),
        ("BashOutput", "[running]\n(no output)", "[running]\n[no new output]"),
        ("Agent", "Line 6.\n\nWorktree: /workspace/.claude/worktrees/a, branch b", "Line 6."),
        ("Skill", "The skill x is in use.", "Loaded x."),
    ],
)
def test_words_of_the_agents_own_do_not_count(tool: str, left: str, right: str) -> None:
    assert same(tool, left, right)


def test_of_a_question_the_answers_count() -> None:
    asked = {"questions": [{"question": "Which?", "options": [{"label": "A"}, {"label": "B"}]}]}
    left, right = "The user answered: A", 'User has answered: "Which?"="A".'
    assert same("AskUserQuestion", left, right, given=asked)
    assert not same("AskUserQuestion", left, "The user answered: B", given=asked)


def test_of_a_search_the_pages_count() -> None:
    left = "One\nhttps://a.example/1\n\nTwo\nhttps://b.example/2"
    right = "[Two](https://b.example/2), then (https://a.example/1)."
    assert same("WebSearch", left, right)
    assert not same("WebSearch", left, "https://a.example/1")


def test_each_agent_shows_a_notebook_in_its_own_form() -> None:
    left, right = '1\t{\n2\t "cells": []', "1\t[the notebook has no cells]"
    assert same("Read", left, right, given={"file_path": "/workspace/a.ipynb"})
    assert not same("Read", left, right, given={"file_path": "/workspace/a.json"})


@pytest.mark.parametrize(
    ("tool", "left", "right"),
    [
        ("Read", "1\ta\n2\tb", "1\ta"),
        ("Read", "1\ta", "2\ta"),
        ("Read", "1\ta", "1\ta "),
        ("Glob", "a.py\nb.py", "a.py"),
        ("Glob", "a.py", "[no files match]"),
        ("Grep", "a.py:3:x", "a.py:4:x"),
        ("Grep", "a.py:3:x", "b.py:3:x"),
        ("Grep", "a.py:3:x", "a.py:3:y"),
        ("Bash", "OK", "FAILED"),
        ("Bash", "[1, 2]", "[1, 3]"),
        ("Bash", "OK", "[no output]"),
        ("BashOutput", "[running]\nready", "[ended]\nready"),
        ("BashOutput", "[running]\nready", "[running]\n[no new output]"),
        ("Agent", "Line 6.", "Line 7."),
        ("mcp__tracker__get_issue", "open", "closed"),
    ],
)
def test_what_a_result_carries_counts(tool: str, left: str, right: str) -> None:
    assert not same(tool, left, right)
    assert not same(tool, right, left)


def test_the_first_line_that_differs_is_told() -> None:
    found = difference(use("Read", "1\ta\n2\tb\n3\tc"), use("Read", "1\ta\n2\tx"))
    assert found == ("2\tb", "2\tx")
    found = difference(use("Read", "1\ta\n2\tb"), use("Read", "1\ta"))
    assert found == ("2\tb", "nothing more")


def test_what_a_background_command_is_called_does_not_count() -> None:
    background = {"run_in_background": True}
    assert same("Bash", "Runs as bash_1.", "Started, see bash_1.", given=background)


def test_refusals_are_equal_in_whatever_words() -> None:
    marked = "<tool_use_error>{}</tool_use_error>"
    assert same("Edit", marked.format("not found"), marked.format("is not there"), ok=False)
    assert not same("Bash", marked.format("not found"), "Exit code 1\nnot found", ok=False)


def test_failures_of_commands_are_compared() -> None:
    assert not same("Bash", "Exit code 1\na", "Exit code 2\na", ok=False)
    assert same("Bash", "Exit code 1\nin 3.5s", "Exit code 1\nin 0.1s", ok=False)


def test_whether_it_went_well_and_who_denied_it_are_compared_elsewhere() -> None:
    assert difference(use("Bash", "a"), use("Bash", "b", ok=False)) is None
    denied = use("Bash", "No.", ok=False, denied_by="rule")
    assert difference(denied, use("Bash", "Denied.", ok=False, denied_by="mode")) is None


def test_cut_outputs_are_compared_by_digest_or_by_both_ends() -> None:
    lines = [f"line {number}" for number in range(1000)]
    left = "\n".join([*lines[:300], "... cut ...", *lines[700:]])
    right = "\n".join([*lines[:250], "[500 lines]", *lines[750:]])
    assert same("Bash", left, right, truncated=True)
    assert same("Bash", left, "anything", truncated=True, content_sha256="a" * 64)
    assert not same("Bash", left, right.replace("line 999", "line x"), truncated=True)
    assert not same("Bash", left, right)


def test_uses_are_found_by_their_ids() -> None:
    block = ToolUseBlock("a", "Bash", {"command": "ls"})
    turn = AssistantTurn(v=1, turn=1, blocks=[block], stop_reason="tool_use")
    result = ToolResult(v=1, turn=2, tool_use_id="a", ok=True, content="x")
    other = ToolResult(v=1, turn=2, tool_use_id="b", ok=True, content="x")
    assert uses([turn, result, other], ROOT) == {"a": Use(block, result, ROOT)}


tools = st.sampled_from(["Read", "Glob", "Grep", "Bash", "BashOutput", "Edit", "Agent", "Monitor"])


@given(tools, st.text())
def test_every_content_equals_itself(tool: str, content: str) -> None:
    assert same(tool, content, content)


@given(tools, st.text(), st.text())
def test_no_content_is_too_odd(tool: str, left: str, right: str) -> None:
    found = difference(use(tool, left), use(tool, right))
    assert found is None or all(isinstance(side, str) for side in found)
