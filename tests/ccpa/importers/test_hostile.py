"""Whatever a transcript holds, importing it ends in valid traces or in an error with a message."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccpa.cli.main import main
from ccpa.errors import CcpaError
from ccpa.importers import FORMATS
from ccpa.importers.fit import fitted
from ccpa.importers.session import TOO_DEEP, Imported
from ccpa.redact import redact
from ccpa.trace import AssistantTurn, Block, TextBlock, ToolResult, ToolUseBlock, UserPrompt
from tests.ccpa.importers.reading import CURRENT, SAMPLES, jsonl, only, problems, read, read_all

WITH_SUBAGENT = (
    Path(__file__).parents[3]
    / "fixtures"
    / "canonical"
    / "subagent-explores"
    / "teacher.ccpa-trace.jsonl"
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["user", "tool_use", "2026-03-02T10:00:00Z", "9999-12-31T23:59:59-10:00"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "role", "content", "text"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)

SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def holds(form: str, data: bytes) -> None:
    sessions: list[Imported] = []
    message = "test: "
    try:
        sessions, _ = read_all(form, data)
    except CcpaError as error:
        message = str(error)
    assert message.startswith("test: ")
    for session in sessions:
        assert problems(session.records) == []


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container and key of a JSON value."""
    keys: Any = value.keys() if isinstance(value, dict) else range(len(value))
    found = []
    for key in list(keys):
        found.append((value, key))
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


def lines_of(path: Path) -> list[Any]:
    data = path.read_text()
    whole = path.suffix == ".json"
    return [json.loads(data)] if whole else [json.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize(("form", "path"), SAMPLES, ids=lambda value: getattr(value, "stem", value))
@SOME
@given(data=st.data())
def test_values_of_the_wrong_type_anywhere(form: str, path: Path, data: st.DataObject) -> None:
    lines = copy.deepcopy(lines_of(path))
    for _ in range(data.draw(st.integers(1, 4))):
        container, key = data.draw(st.sampled_from(places(lines)))
        container[key] = data.draw(JSON)
    holds(form, "\n".join(map(json.dumps, lines)).encode())


@pytest.mark.parametrize(("form", "path"), SAMPLES, ids=lambda value: getattr(value, "stem", value))
@SOME
@given(data=st.data())
def test_lines_lost_repeated_and_out_of_order(form: str, path: Path, data: st.DataObject) -> None:
    lines = lines_of(path)
    if len(lines) == 1:
        for name in ("messages", "steps"):
            if name in lines[0]:
                lines[0][name] = data.draw(st.lists(st.sampled_from(lines[0][name]), max_size=12))
    else:
        lines = data.draw(st.lists(st.sampled_from(lines), max_size=40))
    holds(form, "\n".join(map(json.dumps, lines)).encode())


@pytest.mark.parametrize(("form", "path"), SAMPLES, ids=lambda value: getattr(value, "stem", value))
@SOME
@given(data=st.data())
def test_bytes_lost_and_changed(form: str, path: Path, data: st.DataObject) -> None:
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    holds(form, bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `ccpa export atif` makes of a session with a subagent."""
    path = tmp_path_factory.mktemp("exported") / "trajectory.json"
    assert main(["export", "atif", str(WITH_SUBAGENT), "-o", str(path)]) == 0
    return path.read_text()


@SOME
@given(data=st.data())
def test_an_exported_trajectory_that_somebody_changed(exported: str, data: st.DataObject) -> None:
    trajectory = [json.loads(exported)]
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(trajectory)))
        container[key] = data.draw(JSON)
    holds("atif", json.dumps(trajectory[0]).encode())


@pytest.mark.parametrize("form", FORMATS)
@SOME
@given(lines=st.lists(JSON, max_size=4))
def test_any_json_at_all(form: str, lines: list[Any]) -> None:
    holds(form, "\n".join(map(json.dumps, lines)).encode())


@pytest.mark.parametrize("form", FORMATS)
def test_nesting_without_end(form: str) -> None:
    holds(form, b"[" * 100_000)
    holds(form, b'{"type":' * 5_000)


def test_lines_that_cannot_be_read_are_counted() -> None:
    whole = CURRENT.read_bytes()
    records, notes = read("claude-code", b"\xff\xfe\n[1]\n{\n" + whole + b'{"type":"user"')
    assert records == read("claude-code", whole)[0]
    assert notes.skipped["line that is not JSON in UTF-8"] == 2
    assert notes.skipped["line that is no JSON object"] == 1
    assert notes.skipped["last line, cut short"] == 1


def test_many_unknown_types_do_not_make_a_long_report() -> None:
    _, notes = read("claude-code", jsonl(*({"type": f"new-{n}" * 99} for n in range(500))))
    assert len(notes.unknown) <= 51
    assert sum(notes.unknown.values()) == 500
    assert max(map(len, notes.unknown)) <= 60


def chat(content: str = "a.py", **arguments: Any) -> bytes:
    call = {"id": "c", "function": {"name": "ls", "arguments": arguments}}
    return jsonl(
        {"role": "user", "content": "Go."},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": content},
    )


def test_an_input_too_deep_for_readers_is_marked() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    records, notes = read("openai-chat", chat(deep=deep))
    block = only(records, AssistantTurn)[0].blocks[0]
    assert isinstance(block, ToolUseBlock)
    assert block.input == {TOO_DEEP: True}
    assert notes.marked["tool input nested too deep"] == 1


def test_fifty_megabytes_in_a_line_are_cut_to_what_a_line_may_hold() -> None:
    words = "All work and no play. " * 2_400_000
    result = only(read_all("openai-chat", chat(words))[0][0].records, ToolResult)[0]
    cut = fitted(result)
    assert isinstance(cut, ToolResult)
    assert cut.truncated
    assert words.startswith(cut.content)
    assert cut.content_sha256 is not None
    prompt = fitted(UserPrompt(v=1, turn=0, text=words))
    assert isinstance(prompt, UserPrompt)
    assert prompt.text.endswith("characters cut»")
    assert problems([*read("openai-chat", chat())[0][:1], prompt]) == []


def test_a_record_of_too_many_parts_is_an_error() -> None:
    blocks: list[Block] = [TextBlock("x" * 250)] * 70_000
    turn = AssistantTurn(v=1, turn=1, blocks=blocks, stop_reason="end_turn")
    with pytest.raises(CcpaError, match="assistant_turn is longer than"):
        fitted(turn)


@pytest.mark.parametrize(("form", "path"), SAMPLES, ids=lambda value: getattr(value, "stem", value))
def test_redacting_keeps_a_trace_valid(form: str, path: Path) -> None:
    assert problems(redact(read(form, path)[0])[0]) == []
