"""What a hook has said, and what that means: by its exit code, or in JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.hooks.answer import Heard, hear
from apr.hooks.base import HookName
from apr.hooks.command import Ran


def said(event: HookName, *, code: int = 0, out: str = "", err: str = "") -> Heard:
    return hear(event, Ran(exit_code=code, out=out, err=err))


def answered(event: HookName, **fields: Any) -> Heard:
    return said(event, out=json.dumps(fields))


def specific(event: HookName, **fields: Any) -> Heard:
    return answered(event, hookSpecificOutput={"hookEventName": event, **fields})


def test_a_silent_hook_that_ends_well_changes_nothing() -> None:
    assert said("PreToolUse") == Heard(decision="allow")


def test_exit_code_2_blocks_with_what_was_written_to_standard_error() -> None:
    assert said("PreToolUse", code=2, out="ignored", err="not this file") == Heard(
        decision="block", behavior="deny", reason="not this file"
    )


def test_a_block_without_a_word_says_so() -> None:
    assert said("Stop", code=2).reason == "it gave no reason"


@pytest.mark.parametrize("code", [1, 3, 126, 127, 143])
def test_any_other_exit_code_warns_and_stops_nothing(code: int) -> None:
    heard = said("PreToolUse", code=code, err="no such file")
    assert (heard.decision, heard.behavior) == ("warn", None)
    assert heard.notice == f"exit code {code}: no such file"


def test_a_hook_that_must_not_fail_blocks_when_it_does() -> None:
    heard = hear("PreToolUse", Ran(exit_code=127, err="not found"), block_on_failure=True)
    assert (heard.decision, heard.behavior) == ("warn", "deny")


@pytest.mark.parametrize("event", ["SessionStart", "SessionEnd", "Notification", "PostCompact"])
def test_what_has_happened_cannot_be_blocked(event: HookName) -> None:
    heard = said(event, code=2, err="too late")
    assert (heard.decision, heard.behavior, heard.notice) == ("block", None, "too late")


@pytest.mark.parametrize(
    ("event", "context"),
    [("SessionStart", "on call: Priya"), ("UserPromptSubmit", "on call: Priya"), ("Stop", "")],
)
def test_plain_output_is_context_at_the_start_and_with_a_prompt(
    event: HookName, context: str
) -> None:
    assert said(event, out="on call: Priya").context == context


@pytest.mark.parametrize("decision", ["allow", "ask", "deny"])
def test_a_permission_decision_in_json(decision: str) -> None:
    heard = specific("PreToolUse", permissionDecision=decision, permissionDecisionReason="because")
    assert (heard.behavior, heard.reason) == (decision, "because")
    assert heard.decision == ("block" if decision == "deny" else "allow")


def test_a_denial_without_a_reason_gives_the_whole_answer() -> None:
    assert "permissionDecision" in specific("PreToolUse", permissionDecision="deny").reason


@pytest.mark.parametrize(("word", "behavior"), [("block", "deny"), ("approve", "allow")])
def test_the_older_words_mean_the_same(word: str, behavior: str) -> None:
    assert answered("PreToolUse", decision=word, reason="r").behavior == behavior


def test_an_input_can_be_changed() -> None:
    heard = specific("PreToolUse", permissionDecision="allow", updatedInput={"command": "ls -l"})
    assert heard.updated_input == {"command": "ls -l"}


def test_a_person_can_be_answered_for() -> None:
    heard = specific(
        "PermissionRequest",
        decision={"behavior": "allow", "updatedInput": {"command": "true"}},
    )
    assert (heard.behavior, heard.updated_input) == ("allow", {"command": "true"})


def test_a_denied_request_can_end_the_run() -> None:
    heard = specific(
        "PermissionRequest",
        decision={"behavior": "deny", "message": "never", "interrupt": True},
    )
    assert (heard.behavior, heard.reason, heard.stop) == ("deny", "never", "never")


def test_continue_false_ends_the_run_with_its_reason() -> None:
    heard = answered("PostToolUse", **{"continue": False, "stopReason": "enough"})
    assert (heard.stop, heard.decision) == ("enough", "block")


def test_a_message_for_the_person_is_a_notice() -> None:
    assert answered("Stop", systemMessage="look here").notice == "look here"


def test_context_for_the_model() -> None:
    assert specific("PostToolUse", additionalContext="it is generated").context == "it is generated"


def test_what_is_meant_for_another_event_is_not_heard() -> None:
    heard = answered(
        "Stop",
        hookSpecificOutput={"hookEventName": "PreToolUse", "permissionDecision": "deny"},
    )
    assert heard.behavior is None


def test_json_of_another_shape_is_told_to_the_person() -> None:
    heard = answered("PreToolUse", decision=17)
    assert heard.behavior is None
    assert "not understood" in heard.notice


def test_text_that_only_begins_like_json_is_text() -> None:
    assert said("SessionStart", out="{not json").context == "{not json"


@given(
    st.sampled_from(["PreToolUse", "Stop", "SessionStart", "PermissionRequest"]),
    st.integers(0, 255),
    st.text(),
    st.text(),
)
def test_whatever_a_hook_prints_is_heard(event: HookName, code: int, out: str, err: str) -> None:
    heard = hear(event, Ran(exit_code=code, out=out, err=err))
    assert (heard.decision == "warn") == (code not in {0, 2})


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_heard(value: object) -> None:
    hear("PreToolUse", Ran(exit_code=0, out=json.dumps({"hookSpecificOutput": value})))
