from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.agent.prompt import Environment, first_prompt
from apr.agent.retold import Retelling, fork, histories
from apr.errors import AprError
from apr.providers.base import (
    AssistantMessage,
    Message,
    ToolAnswer,
    ToolMessage,
    UserMessage,
)
from apr.providers.openai_chat import OpenAIChat
from ccpa.trace import (
    AssistantTurn,
    Block,
    HookEvent,
    Record,
    SessionStart,
    TextBlock,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
)

START = SessionStart(
    v=1,
    session_id="01a0668d-4c04-726b-b2a7-4de452e6b438",
    ts="2026-09-03T09:15:31.204Z",
    actor="claude-code",
    model="m",
    cwd_sha256="0" * 64,
    cwd="/work/shop",
)
SURROUNDINGS = first_prompt(
    Environment(directory="/work/shop", date="2026-09-03", platform="linux"), ""
)


def use(id_: str, name: str, **given: object) -> ToolUseBlock:
    return ToolUseBlock(id_, name, given)


def answer(turn: int, *blocks: Block, parent: str | None = None) -> AssistantTurn:
    return AssistantTurn(
        v=1, turn=turn, blocks=list(blocks), stop_reason="end_turn", parent_tool_use_id=parent
    )


def result(turn: int, id_: str, content: str, *, parent: str | None = None) -> ToolResult:
    return ToolResult(
        v=1, turn=turn, tool_use_id=id_, ok=True, content=content, parent_tool_use_id=parent
    )


def before(records: Sequence[Record], index: int) -> tuple[Message, ...]:
    """Return the history of the one answer at an index."""
    ((found, messages),) = histories(records, {index})
    assert found == index
    return messages


def test_the_first_prompt_has_the_sessions_own_surroundings_before_it() -> None:
    records: list[Record] = [
        START,
        UserPrompt(v=1, turn=0, text="go"),
        answer(1, TextBlock("Done.")),
    ]
    assert before(records, 2) == (UserMessage(SURROUNDINGS + "go"),)


def test_results_stand_in_the_order_of_their_calls() -> None:
    first, second = use("1", "Glob", pattern="a"), use("2", "Glob", pattern="b")
    records: list[Record] = [
        START,
        UserPrompt(v=1, turn=0, text="go"),
        answer(1, TextBlock("I look."), first, second),
        result(2, "2", "b.py"),
        result(2, "1", "a.py"),
        answer(3, TextBlock("Done.")),
    ]
    assert before(records, 5)[1:] == (
        AssistantMessage((TextBlock("I look."), first, second)),
        ToolMessage((ToolAnswer("1", "Glob", "a.py"), ToolAnswer("2", "Glob", "b.py"))),
    )


def test_each_history_is_the_beginning_of_the_next() -> None:
    records: list[Record] = [START, UserPrompt(v=1, turn=0, text="go")]
    for turn in (1, 3, 5):
        records += [
            answer(turn, use(f"{turn}", "Bash", command="ls")),
            result(turn + 1, f"{turn}", "a"),
        ]
    found = [messages for _, messages in histories(records, {2, 4, 6})]
    assert [len(messages) for messages in found] == [1, 3, 5]
    assert found[2][:3] == found[1]
    assert found[1][:1] == found[0]


def test_a_call_whose_result_was_not_recorded_is_answered_all_the_same() -> None:
    records: list[Record] = [
        START,
        UserPrompt(v=1, turn=0, text="go"),
        answer(1, use("1", "Bash", command="ls")),
        UserPrompt(v=1, turn=2, text="again"),
        answer(3, TextBlock("Done.")),
    ]
    assert before(records, 4)[2:] == (
        ToolMessage((ToolAnswer("1", "Bash", "No result was recorded.", ok=False),)),
        UserMessage("again"),
    )


def test_what_a_blocking_stop_hook_said_is_the_next_prompt() -> None:
    records: list[Record] = [
        START,
        UserPrompt(v=1, turn=0, text="go"),
        answer(1, TextBlock("Done.")),
        HookEvent(v=1, turn=1, event="Stop", decision="block", exit_code=2, output="Not yet."),
        answer(2, TextBlock("Now.")),
    ]
    assert before(records, 4)[-1] == UserMessage("Not yet.")


def test_a_subagents_history_begins_with_the_prompt_that_it_was_given() -> None:
    records: list[Record] = [
        START,
        UserPrompt(v=1, turn=0, text="go"),
        answer(1, use("a", "Agent", prompt="Look.", description="x")),
        answer(1, use("b", "Grep", pattern="x"), parent="a"),
        result(2, "b", "y.py", parent="a"),
        answer(3, TextBlock("Found."), parent="a"),
        result(2, "a", "Found."),
        answer(3, TextBlock("Done.")),
    ]
    assert before(records, 3) == (UserMessage(SURROUNDINGS + "Look."),)
    assert len(before(records, 5)) == 3
    main = before(records, 7)
    assert main[-1] == ToolMessage((ToolAnswer("a", "Agent", "Found."),))
    assert len(main) == 3


def test_paths_below_the_directory_are_relative_to_it() -> None:
    tell = Retelling.of(START)
    (block,) = tell.blocks([use("1", "Read", file_path="/work/shop/src/a.py", limit=3)])
    assert block == use("1", "Read", file_path="src/a.py", limit=3)
    (block,) = tell.blocks([use("1", "Glob", pattern="/work/shop/**/*.py", path="/work/shop")])
    assert block == use("1", "Glob", pattern="**/*.py", path=".")
    found = result(2, "1", "/work/shop/a.py\n/work/shop/b.py")
    assert tell.answer(use("1", "Glob"), found).content == "a.py\nb.py"


def test_commands_and_their_output_stay_for_the_shell_may_be_elsewhere() -> None:
    tell = Retelling.of(START)
    command = use("1", "Bash", command="cd src && cat /work/shop/a.py")
    assert tell.blocks([command]) == (command,)
    assert tell.answer(command, result(2, "1", "/work/shop/a.py")).content == "/work/shop/a.py"


@pytest.mark.parametrize(
    "text",
    [
        "/work/shop",
        "/work/shopping/a.py",
        "/home/work/shop/a.py",
        "~/work/shop/a.py",
        "http://localhost/work/shop/a.py",
        "/work/shop/ is the directory",
    ],
)
def test_what_is_no_path_below_the_directory_stays(text: str) -> None:
    assert Retelling.of(START).text(text) == text


def test_what_files_hold_stays_as_it_is() -> None:
    tell = Retelling.of(START)
    (block,) = tell.blocks([use("1", "Write", file_path="/work/shop/a", content="/work/shop/b")])
    assert block == use("1", "Write", file_path="a", content="/work/shop/b")
    shown = result(2, "1", "1\tPATH=/work/shop/b")
    assert tell.answer(use("1", "Read"), shown).content == shown.content
    (block,) = tell.blocks([use("1", "Grep", pattern="/work/shop/b", path="/work/shop/src")])
    assert block == use("1", "Grep", pattern="/work/shop/b", path="src")


@given(st.text())
def test_a_text_without_the_directory_is_never_touched(text: str) -> None:
    if "/work/shop/" not in text:
        assert Retelling.of(START).text(text) == text


def test_a_fork_needs_a_number_of_answers_that_the_trace_has(tmp_path: Path) -> None:
    live = OpenAIChat("http://127.0.0.1:9/v1", "m")
    trace = tmp_path / "trace.jsonl"
    with pytest.raises(AprError, match="goes with --fork-at"):
        fork(trace, None, live)
    with pytest.raises(AprError, match="No such file"):
        fork(trace, 1, live)
    trace.write_text("{}\n")
    with pytest.raises(AprError, match="no trace"):
        fork(trace, 1, live)
    trace.write_text("")
    with pytest.raises(AprError, match="begins with session_start"):
        fork(trace, 1, live)
