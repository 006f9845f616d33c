"""Whatever stands in a trace, comparing it ends: in a result, or in an error with its line."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccpa.actions import View, decode_views
from ccpa.cli.diff import drift_json
from ccpa.cli.main import main
from ccpa.compare import compare
from ccpa.equivalence import RULES
from ccpa.errors import CcpaError
from ccpa.pairs import text_reader
from ccpa.positional import positional
from ccpa.trace import MAX_LINE_BYTES
from tests.ccpa.sessions import bash, hook, skill, trace, trace_bytes, use

STEPS = [bash("ls 'a b'"), use("Edit", file_path="a", old_string="x", new_string="y"), hook()]
GOOD = trace_bytes(*STEPS, skill("s"), use("mcp__x__y", a=[1, {"b": None}]))
WORKSPACE = Path(__file__).parents[2] / "fixtures" / "regression" / "edit-indentation" / "workspace"


def tell_all(teacher: list[View], student: list[View]) -> str:
    """Compare two traces every way there is, and return all that is said about them."""
    read_file = text_reader(WORKSPACE)
    found = compare(teacher, student, read_file=read_file, aliases=("/srv/shop",))
    said = [drift_json(drift, found) for drift in found.drifts]
    with contextlib.suppress(CcpaError):
        positional(teacher, student)
    return json.dumps(said)


@given(
    st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 9), st.binary(max_size=9))),
    st.booleans(),
)
def test_damaged_bytes_are_compared_or_refused(
    damages: list[tuple[int, int, bytes]], turned: bool
) -> None:
    data = GOOD
    for at, length, instead in damages:
        data = data[:at] + instead + data[at + length :]
    pair = [decode_views(GOOD)]
    with contextlib.suppress(CcpaError):
        pair.append(decode_views(data))
        tell_all(*(reversed(pair) if turned else pair))


TEXTS = st.text(alphabet="ab/.\\'\"$`(){}[]<>;&|#*~ \n\x00\x1b\u202eé", max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    [
        "command",
        "file_path",
        "path",
        "old_string",
        "new_string",
        "content",
        "pattern",
        "prompt",
        "subagent_type",
        "task_id",
        "offset",
        "limit",
        "replace_all",
        "-A",
        "-C",
        "output_mode",
        "skill",
        "args",
        "url",
        "query",
        "allowed_domains",
        "new_source",
        "edit_mode",
        "cell_id",
        "run_in_background",
        "x",
    ]
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from([*RULES, "mcp__x__y", ""]), st.dictionaries(FIELDS, JSON, max_size=4)
    ),
    max_size=4,
)


@given(CALLS, CALLS)
def test_any_input_of_any_tool_can_be_compared_and_told(
    ours: list[tuple[str, dict[str, Any]]], theirs: list[tuple[str, dict[str, Any]]]
) -> None:
    tell_all(*(trace(*(use(tool, raw=one) for tool, one in side)) for side in (ours, theirs)))


@given(st.sampled_from(["[", '{"a":', '[{"a":']), st.integers(0, 3000))
def test_nesting_of_any_depth_is_compared_or_refused(opening: str, depth: int) -> None:
    closing = opening[::-1].translate(str.maketrans("[{", "]}", '":a'))
    nested = ('{"a":' + opening * depth + "1" + closing * depth + "}").encode()
    bombs = [
        GOOD.replace(b'{"a": [1, {"b": null}]}', nested.replace(b"1", one)) for one in (b"1", b"2")
    ]
    with contextlib.suppress(CcpaError):
        tell_all(*(decode_views(bomb) for bomb in bombs))


def test_a_line_longer_than_any_record_is_refused_by_its_number() -> None:
    lines = GOOD.splitlines(keepends=True)
    longest = b'{"v":1,"kind":"user_prompt","turn":0,"text":"%s"}' % (b"x" * (MAX_LINE_BYTES - 47))
    assert len(longest) == MAX_LINE_BYTES
    assert decode_views(lines[0] + longest + b"\n" + lines[1])
    for rest in (b"", b"\n", b"\n" + lines[1]):
        with pytest.raises(CcpaError, match="line 2: longer than 16 MiB"):
            decode_views(lines[0] + b" " + longest + rest)


def test_shell_commands_as_long_as_a_line_may_be_are_compared_as_they_stand() -> None:
    ours, theirs = (trace(bash(end * (1 << 21))) for end in ("a ", "a  "))
    assert compare(ours, ours).drifts == []
    assert [drift.category for drift in compare(ours, theirs).drifts] == ["mismatched_tool_input"]


def test_a_path_longer_than_any_is_not_looked_for() -> None:
    assert text_reader(WORKSPACE)("a/" * 200_000 + "../" * 200_000 + "tax.py") is None


@pytest.mark.parametrize(
    "command", ["(" * 99_999, "$( " * 9_999, "`" * 9_999, "<<A " * 999, "{ " * 9_999]
)
def test_commands_nested_without_end_are_compared_as_they_stand(command: str) -> None:
    drifts = compare(trace(bash(command)), trace(bash(f" {command}"))).drifts
    assert [drift.category for drift in drifts] == ["mismatched_tool_input"]


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b'"\\ud800"', 2),  # half a character
        (b"NaN", 2),
        (b"1e999", 1),
        (b"9" * 999, 1),
        (b'"x","command":"ls"', 1),  # the last of two counts, as `ccpa validate` will say
    ],
)
def test_values_that_json_has_no_business_with(
    value: bytes, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, odd = tmp_path / "good", tmp_path / "odd"
    good.write_bytes(trace_bytes(bash("echo")))
    odd.write_bytes(trace_bytes(bash("echo")).replace(b'"echo"', value))
    assert main(["diff", str(good), str(odd)]) == status
    if status == 2:
        assert f"{odd}: line 3: " in capsys.readouterr().err


def test_traces_of_different_versions_are_compared_by_what_both_have() -> None:
    ours, theirs = (trace(bash("ls"), schema_version=version) for version in (2, 3))
    assert compare(ours, theirs).drifts == []
