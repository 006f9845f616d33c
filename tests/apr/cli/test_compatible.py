"""Options that programs know from Claude Code: each does what it says, or is refused."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from apr.cli import code, compatible
from apr.errors import AprError
from tests.apr.program import apr

STREAMS = ("--output-format", "stream-json")
DRIVEN = (*STREAMS, "--input-format", "stream-json")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    code.configure(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {}),
        (("--thinking", "adaptive"), {}),
        (("--thinking", "disabled"), {"chat_template_kwargs": {"enable_thinking": False}}),
        (("--max-thinking-tokens", "0"), {"chat_template_kwargs": {"enable_thinking": False}}),
        (("--max-thinking-tokens", "999"), {"chat_template_kwargs": {"enable_thinking": True}}),
        (("--effort", "low"), {"chat_template_kwargs": {"reasoning_effort": "low"}}),
        (("--effort", "max"), {"chat_template_kwargs": {"reasoning_effort": "high"}}),
        (("--effort", "low", "--base-url", "http://x/v1"), {"reasoning_effort": "low"}),
    ],
)
def test_reasoning_is_asked_for_in_the_requests(
    words: tuple[str, ...], expected: dict[str, Any]
) -> None:
    assert compatible.request_options(parsed(*words)) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), None),
        (("--tools", "default"), None),
        (("--tools", ""), ()),
        (("--tools", "Read, Bash"), ("Read", "Bash")),
    ],
)
def test_the_built_in_tools_can_be_chosen(
    words: tuple[str, ...], expected: tuple[str, ...] | None
) -> None:
    assert compatible.tools(parsed(*words)) == expected


def test_the_system_prompt_is_text_or_a_file_and_an_empty_one_is_the_built_in(
    tmp_path: Path,
) -> None:
    (tmp_path / "poet.md").write_text("You are a poet.\n")
    poet = str(tmp_path / "poet.md")
    prompts = compatible.system_prompt
    assert prompts(parsed("--system-prompt", "Be kind.")) == ("Be kind.", None)
    assert prompts(parsed("--system-prompt", "")) == (None, None)
    assert prompts(parsed("--system-prompt-file", poet)) == ("You are a poet.\n", None)
    assert prompts(parsed("--append-system-prompt-file", poet)) == (None, "You are a poet.\n")
    with pytest.raises(AprError, match="no/such/file"):
        prompts(parsed("--system-prompt-file", "no/such/file"))


def test_permissions_can_be_skipped_by_either_name() -> None:
    assert compatible.permission_mode(parsed()) is None
    assert compatible.permission_mode(parsed("--permission-mode", "plan")) == "plan"
    skipped = parsed("--dangerously-skip-permissions")
    assert compatible.permission_mode(skipped) == "bypassPermissions"


@pytest.mark.parametrize(
    "words",
    [
        ("--verbose", "hi"),
        (*STREAMS, "--include-partial-messages", "--include-hook-events", "hi"),
        (*DRIVEN, "--replay-user-messages", "--permission-prompt-tool", "stdio"),
        ("--max-budget-usd", "1.5", "--fallback-model", "demo", "hi"),
    ],
)
def test_what_goes_together_is_accepted(words: tuple[str, ...]) -> None:
    compatible.check(parsed(*words))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--include-partial-messages", "hi"), "goes with --output-format stream-json"),
        (("--include-hook-events", "hi"), "goes with --output-format stream-json"),
        (("--thinking-display", "omitted", "hi"), "goes with --output-format stream-json"),
        (("--input-format", "stream-json"), "goes with --output-format stream-json"),
        ((*DRIVEN, "hi"), "prompts come through standard input"),
        ((*STREAMS, "--replay-user-messages", "hi"), "goes with --input-format"),
        ((*STREAMS, "--permission-prompt-tool", "stdio", "hi"), "goes with --input-format"),
        ((*DRIVEN, "--permission-prompt-tool", "mcp__a__b"), "only stdio"),
        (("--betas", "context-1m-2025-08-07", "hi"), "--betas"),
        (("--task-budget", "5"), "--max-tokens-total"),
        (("--resume-session-at=x",), "--fork-session"),
        (("--resume-drops-turn=",), "--resume-drops-turn"),
        (("--session-mirror",), "apr sessions"),
        (("--max-budget-usd", "1", "--base-url", "http://x/v1"), "not known here"),
        (("--fallback-model", "m", "--base-url", "http://x/v1"), "--base-url has the one"),
    ],
)
def test_what_means_nothing_here_is_refused(words: tuple[str, ...], reason: str) -> None:
    with pytest.raises(AprError, match=reason):
        compatible.check(parsed(*words))


def test_the_form_of_an_answer_is_seen_only_by_programs() -> None:
    assert compatible.schema(parsed()) is None
    wanted = parsed("--json-schema", '{"type": "object"}', "--output-format", "json")
    assert compatible.schema(wanted) == {"type": "object"}
    with pytest.raises(AprError, match="goes with --output-format json"):
        compatible.schema(parsed("--json-schema", "{}"))


def test_the_fallback_is_used_where_the_model_is_not_on_this_disk(
    home: Path, project: Path
) -> None:
    words = ("--model", "no-such-model", "--fallback-model", "nor-this-one", "hi")
    done = apr("code", *words, home=home, cwd=project)
    assert done.returncode == 3
    assert "Using nor-this-one instead." in done.stderr
