"""Reading a trace for comparison: what is kept of it, and what is not a trace."""

import contextlib
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccpa import actions, trace
from ccpa.actions import View, decode_views, read_views, session
from ccpa.errors import CcpaError
from tests.ccpa.sessions import bash, hook, say, skill, trace_bytes
from tests.ccpa.traces import lines, whole

GOOD = trace_bytes(hook("SessionStart"), skill("s"), bash("ls"), say())


def fields(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


@pytest.mark.parametrize("record", trace.Record.__args__)
def test_every_record_has_a_view_of_some_of_its_fields(record: type[msgspec.Struct]) -> None:
    view = getattr(actions, record.__name__ + "View")
    assert fields(view) <= fields(record)
    assert view.__struct_config__.tag == record.__struct_config__.tag
    assert view in View.__args__


def test_every_kind_of_record_is_read() -> None:
    assert len(decode_views(lines(whole()))) == len(whole())


def test_what_is_compared_is_kept_in_order() -> None:
    found = session(decode_views(GOOD))
    assert [one.kind for one in found.actions] == ["hook_event", "skill_invocation", "tool_use"]
    assert [call.actions for call in found.calls] == [1, 0]
    assert found.actions[2].result is not None
    assert found.end is not None


@pytest.mark.parametrize("blank", [b"\n\n", b"  \n", b"\r\n"])
def test_blank_lines_and_windows_line_ends_are_passed_over(blank: bytes) -> None:
    assert decode_views(blank + GOOD + blank) == decode_views(GOOD)
    assert decode_views(GOOD.replace(b"\n", b"\r\n")) == decode_views(GOOD)


def test_unknown_fields_are_left_to_validate() -> None:
    more = GOOD.replace(b'"v": 1', b'"v": 1, "new": [1, {"x": null}]')
    assert decode_views(more) == decode_views(GOOD)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"v": 1, "kind": "user_prompt", "tur', "line 2: Input data was truncated"),
        (b'{"v": 1, "kind": "unheard_of"}', "line 2: Invalid value 'unheard_of'"),
        (b'{"v": 2, "kind": "user_prompt", "turn": 0}', "line 2: Invalid enum value 2"),
        (b'{"kind": "user_prompt", "turn": 0}', "line 2: .*missing required field `v`"),
        (b'{"v": 1, "kind": "user_prompt", "turn": NaN}', "line 2: JSON is malformed"),
        (b'{"v": 1, "kind": "user_prompt", "turn": "0"}', "line 2: Expected `int`"),
        (b"[1]", "line 2: Expected `object`"),
        (b'{"v": 1, "kind": "user_prompt", "turn": 0, "x": ' + b"[" * 99999, "line 2: .*too deep"),
        (b'{"v": 1, "kind": "user_prompt", "turn": 0, "x": "\xff', "line 2: "),
    ],
)
def test_a_line_that_is_no_record_is_named(line: bytes, message: str) -> None:
    with pytest.raises(CcpaError, match=message):
        decode_views(GOOD.split(b"\n")[0] + b"\n" + line + b"\n" + GOOD)


def test_a_byte_order_mark_is_named() -> None:
    with pytest.raises(CcpaError, match=r"line 1: .*byte order mark"):
        decode_views(b"\xef\xbb\xbf" + GOOD)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(CcpaError, match="cannot read the trace "):
            read_views(path)


def test_a_pipe_that_the_shell_made_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, GOOD)
    os.close(writing)
    try:
        assert read_views(f"/dev/fd/{reading}") == decode_views(GOOD)
    finally:
        os.close(reading)


def test_an_error_says_which_file_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"{}\n")
    with pytest.raises(CcpaError, match=rf"{path}: line 1: .*\n`ccpa validate"):
        read_views(path)


@given(st.binary(max_size=40), st.integers(0, 10_000))
def test_a_damaged_trace_is_read_or_refused(damage: bytes, at: int) -> None:
    at %= len(GOOD)
    with contextlib.suppress(CcpaError):
        session(decode_views(GOOD[:at] + damage + GOOD[at + len(damage) :]))
