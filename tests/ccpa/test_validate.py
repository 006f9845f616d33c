"""What `check` finds about single lines, about the order of records, and in hostile input."""

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccpa.trace import MAX_LINE_BYTES
from ccpa.validate import Report, check, repeats
from tests.ccpa.traces import Value, asked, end, hook, lines, prompt, result, said, session, whole


def found(data: bytes, **options: Any) -> list[tuple[int, str]]:
    return [(problem.line, problem.field) for problem in report(data, **options).problems]


def report(data: bytes, **options: Any) -> Report:
    return check(io.BytesIO(data), **options)


def in_session(*records: Value, last: int) -> bytes:
    return lines([session(), *records, end(last)])


def only_message(data: bytes, **options: Any) -> str:
    (problem,) = report(data, **options).problems
    return problem.message


def test_a_trace_with_every_kind_and_every_field_is_valid() -> None:
    assert report(lines(whole())) == Report(records=len(whole()))


def test_other_writers_may_order_keys_and_put_spaces_as_they_like() -> None:
    spaced = "".join(json.dumps(record, sort_keys=True) + "\n" for record in whole())
    assert report(spaced.encode()) == Report(records=len(whole()))
    odd = spaced.replace('": ', '" : ').encode()
    assert report(odd) == Report(records=len(whole()))


# Lines


def test_every_fault_of_a_record_is_told_not_only_the_first() -> None:
    wrong = {
        "v": 1,
        "kind": "assistant_turn",
        "turn": "1",
        "blocks": [
            {"type": "text"},
            {"type": "picture"},
            {"type": "tool_use", "id": 1, "input": []},
        ],
        "stop_reason": "tired",
        "usage": {"input_tokens": -1, "output_tokens": 2**53},
        "colour": "red",
        "strange key": 1,
    }
    assert found(in_session(prompt(0), wrong, last=1)) == [
        (3, "$.turn"),
        (3, "$.blocks[0].text"),
        (3, "$.blocks[1].type"),
        (3, "$.blocks[2].id"),
        (3, "$.blocks[2].name"),
        (3, "$.blocks[2].input"),
        (3, "$.stop_reason"),
        (3, "$.usage.input_tokens"),
        (3, "$.usage.output_tokens"),
        (3, "$.colour"),
        (3, '$["strange key"]'),
    ]


def test_the_formats_of_ids_times_and_digests_are_checked_even_beside_other_faults() -> None:
    start = session(session_id="5", ts="yesterday", cwd_sha256="F" * 64, actor="Nobody")
    assert found(lines([start, end(0)])) == [
        (1, "$.actor"),
        (1, "$.session_id"),
        (1, "$.ts"),
        (1, "$.cwd_sha256"),
    ]


@pytest.mark.parametrize(
    "uuid",
    [
        "01980f3a-5c9e-4b21-9d3c-0242ac120002",  # version 4
        "01980f3a-5c9e-7b21-cd3c-0242ac120002",  # variant of another standard
        "01980f3a5c9e7b219d3c0242ac120002",
        "01980f3a-5c9e-7b21-9d3c-0242ac120002\n",
    ],
)
def test_a_session_id_is_a_uuid_of_version_7(uuid: str) -> None:
    assert found(lines([session(session_id=uuid), end(0)])) == [(1, "$.session_id")]


@pytest.mark.parametrize(
    ("time", "right"),
    [
        ("2026-01-31T00:00:00Z", True),
        ("2026-01-31T23:59:60.123456789+00:00", True),
        ("2026-01-31T00:00:00+01:00", False),
        ("2026-02-30T00:00:00Z", False),
        ("2026-01-31 00:00:00Z", False),
        ("2026-01-31T00:00:00", False),
        ("2026-01-31T00:00:61Z", False),
        ("٢٠٢٦-01-31T00:00:00Z", False),
    ],
)
def test_a_time_is_rfc_3339_in_utc(time: str, right: bool) -> None:
    assert found(lines([session(ts=time), end(0)])) == ([] if right else [(1, "$.ts")])


def test_a_key_that_stands_twice_is_told_wherever_it_is() -> None:
    text = in_session(prompt(0), asked(1, "a"), result(2, "a"), said(3), last=3).decode()
    twice = text.replace('"text":"Fix it."', '"text":"Fix it.","text":"Fix that."')
    assert found(twice.encode()) == [(2, "$.text")]
    deep = text.replace('{"command":"ls"}', '{"command":"ls","x":[{"y":1,"y":1,"z":2}]}')
    assert found(deep.encode()) == [(3, "$.blocks[0].input.x[0].y")]


@pytest.mark.parametrize(
    "disguise",
    [
        '{"a":1,"a":2,"b\\\\":3}',
        '{"a" :1,"a":2}',
        '{"a"\t:1,"a":2,"c":{}}',
        '{"a":"\\\\\\":","a":2}',
        '{"b\\\\" :1,"a":2,"a":3}',
        '{"a":"x\\u0022:","a":2}',
        '{"a":1,"a":"\\"\\u003a"}',
        '{"a":1,"b\\" :" :2,"a":"\\" :"}',
        '{"\\u0061":1,"a":2}',
        '{"a":1e2,"a":10000}',
        '{"a":123456789012345678901234567890,"a":1}',
    ],
)
def test_a_repeated_key_cannot_hide(disguise: str) -> None:
    data = in_session(prompt(0), asked(1, "a"), result(2, "a"), said(3), last=3)
    hidden = data.replace(b'{"command":"ls"}', disguise.encode())
    assert found(hidden) == [(3, "$.blocks[0].input.a")]


@st.composite
def awkward_json(draw: st.DrawFn, depth: int = 1) -> str:
    """Return JSON text with few keys, odd spaces, and characters that look like syntax."""
    space = st.sampled_from(["", "", "", "", " ", "\t "])
    quotes = ['\\"', '\\" :', "\\u0022:", '\\"\\u003a', '\\"\\u003A']
    signs = st.sampled_from(["a", "a", "{", ":", "\\\\", "\\u005c", *quotes])
    text = st.lists(signs, max_size=2).map(lambda some: f'"{"".join(some)}"')
    inner = awkward_json(depth - 1) if depth else text
    members = []
    for _ in range(draw(st.integers(0, 3))):
        key, value = draw(text), draw(inner | text | st.sampled_from(["1e3", "null", "[]"]))
        members.append(f"{draw(space)}{key}{draw(space)}:{draw(space)}{value}")
    return "{" + ",".join(members) + draw(space) + "}"


@given(awkward_json())
@settings(max_examples=400, deadline=None)
def test_counting_keys_never_misses_a_repeated_one(text: str) -> None:
    again = msgspec.json.encode(msgspec.json.decode(text))
    if repeats.surely_none(text.encode(), again):
        assert not repeats.any_in(text.encode())


def test_a_trace_of_version_2_has_nothing_of_version_3() -> None:
    start = session(schema_version=2)
    compaction = {"v": 1, "kind": "compaction", "turn": 0, "trigger": "auto", "tokens_before": 1}
    late = said(1, latency_ms=None) | {"usage": {"input_tokens": 1, "output_tokens": 1}}
    records = [start, prompt(0), compaction | {"tokens_after": 1}, late, end(1, cost_usd=0)]
    assert found(lines(records)) == [
        (3, "$.kind"),
        (4, "$.latency_ms"),
        (4, "$.usage"),
        (5, "$.cost_usd"),
    ]


def test_a_start_that_says_version_2_is_held_to_it() -> None:
    start = session(schema_version=2, actor="another-agent", cwd=None)
    assert found(lines([start, end(0)])) == [(1, "$.actor"), (1, "$.cwd")]


def test_version_2_can_be_asked_for() -> None:
    data = lines([session(schema_version=3), prompt(0), said(1), end(1)])
    assert found(data, version=2) == [(1, "$.schema_version")]
    assert found(lines([session(), prompt(0), said(1), end(1)]), version=2) == []


# Order


def test_a_session_starts_once_and_first_and_ends_once_and_last() -> None:
    assert found(lines([prompt(0), said(1), end(1)])) == [(1, "$.kind")]
    assert found(lines([session(), session(), prompt(0), end(0)])) == [(2, "$.kind")]
    assert found(lines([session(), prompt(0), end(0), said(1), end(1)])) == [(4, "$")]
    assert found(lines([session(), prompt(0), said(1)])) == [(3, "$")]
    assert found(b"") == [(1, "$")]


def test_turns_rise_by_one_from_message_to_message() -> None:
    good = [prompt(0), asked(1, "a", "b"), result(2, "b"), result(2, "a"), said(3), prompt(4)]
    assert found(in_session(*good, last=4)) == []
    assert found(in_session(prompt(1), said(2), last=2)) == [(2, "$.turn")]
    assert found(in_session(prompt(0), said(2), prompt(3), last=3)) == [(3, "$.turn")]
    assert found(in_session(prompt(0), asked(1, "a"), result(3, "a"), said(4), last=4)) == [
        (4, "$.turn")
    ]
    assert found(in_session(prompt(0), said(1), last=2)) == [(4, "$.turn")]


def test_a_resumed_session_may_go_on_counting() -> None:
    data = lines([session(parent_session_id="before"), prompt(8), said(9), end(9)])
    assert found(data) == []


def test_each_tool_use_is_answered_once_before_the_next_message() -> None:
    assert found(in_session(prompt(0), asked(1, "a", "b"), result(2, "a"), said(3), last=3)) == [
        (5, "$")
    ]
    twice = in_session(prompt(0), asked(1, "a"), result(2, "a"), result(2, "a"), said(3), last=3)
    assert found(twice) == [(5, "$.tool_use_id")]
    assert found(in_session(prompt(0), said(1), result(2, "x"), said(3), last=3)) == [
        (4, "$.tool_use_id")
    ]


def test_every_unanswered_tool_use_is_named() -> None:
    checked = report(
        in_session(prompt(0), asked(1, "a", "b", "c"), result(2, "b"), said(3), last=3)
    )
    assert [problem.message for problem in checked.problems] == [
        'tool use "a" of line 3 was never answered',
        'tool use "c" of line 3 was never answered',
    ]


def test_a_session_that_fails_may_leave_tool_uses_unanswered() -> None:
    records = [session(), prompt(0), asked(1, "a")]
    assert found(lines([*records, end(1, "error")])) == []
    assert found(lines([*records, end(1)])) == [(4, "$")]


def test_two_tool_uses_of_a_turn_have_two_ids() -> None:
    data = in_session(prompt(0), asked(1, "a", "a"), result(2, "a"), said(3), last=3)
    assert found(data) == [(3, "$.blocks[1].id")]


def test_a_turn_stops_for_tool_use_if_and_only_if_it_has_one() -> None:
    stopped = asked(1, "a", stop_reason="end_turn")
    assert found(in_session(prompt(0), stopped, result(2, "a"), said(3), last=3)) == [
        (3, "$.stop_reason")
    ]
    assert found(in_session(prompt(0), said(1, stop_reason="tool_use"), last=1)) == [
        (3, "$.stop_reason")
    ]
    assert found(in_session(prompt(0), said(1, stop_reason="max_tokens"), last=1)) == []
    cut = asked(1, "a", stop_reason="max_tokens")
    assert found(in_session(prompt(0), cut, result(2, "a"), said(3), last=3)) == []


@pytest.mark.parametrize(
    ("decision", "code", "output", "wrong"),
    [
        ("allow", 0, None, None),
        ("block", 2, "no", None),
        ("warn", 1, None, None),
        ("warn", -9, None, None),
        ("block", 0, '{"decision":"block"}', None),
        ("block", 0, "no", "$.output"),
        ("block", 0, "[]", "$.output"),
        ("block", 0, "[" * 100_000, "$.output"),
        ("block", 0, None, "$.output"),
        ("warn", 0, None, "$.decision"),
        ("allow", 2, None, "$.decision"),
        ("warn", 2, None, "$.decision"),
        ("allow", 1, None, "$.decision"),
        ("block", 1, None, "$.decision"),
    ],
)
def test_a_hook_decides_by_its_exit_code(
    decision: str, code: int, output: str | None, wrong: str | None
) -> None:
    data = in_session(prompt(0), hook(0, decision, code, output=output), said(1), last=1)
    assert found(data) == ([(3, wrong)] if wrong else [])


def test_a_hook_belongs_to_the_last_message_or_the_next() -> None:
    for turn, right in ((0, False), (1, True), (2, True), (3, False)):
        data = in_session(prompt(0), said(1), hook(turn), prompt(2), last=2)
        assert found(data) == ([] if right else [(4, "$.turn")])


def test_a_hook_that_blocks_may_give_the_model_a_message_of_its_own() -> None:
    stop = hook(1, "block", 2, event="Stop")
    assert found(in_session(prompt(0), said(1), stop, said(3), last=3)) == []
    assert found(in_session(prompt(0), said(1), stop, said(2), last=2)) == []
    assert found(in_session(prompt(0), said(1), said(3), last=3)) == [(4, "$.turn")]


def test_what_was_denied_is_not_ok() -> None:
    denied = result(2, "a", denied_by="rule")
    assert found(in_session(prompt(0), asked(1, "a"), denied, said(3), last=3)) == [(4, "$.ok")]


def test_a_subagent_counts_its_own_turns() -> None:
    sub = {"parent_tool_use_id": "task"}
    records = [
        prompt(0),
        asked(1, "task", "a"),
        asked(1, "b", **sub),
        result(2, "a"),
        result(2, "b", **sub),
        hook(2, tool_use_id="b"),
        said(3, **sub),
        result(2, "task"),
        said(3),
    ]
    assert found(in_session(*records, last=3)) == []
    del records[4]
    assert found(in_session(*records, last=3)) == [(7, "$")]


def test_a_subagent_may_outlive_the_result_of_its_tool_use() -> None:
    records = [prompt(0), asked(1, "task"), result(2, "task"), said(3)]
    late = [asked(1, "b", parent_tool_use_id="task"), prompt(4), said(5)]
    assert found(in_session(*records, *late, last=5)) == []


def test_a_subagent_is_started_by_a_tool_use() -> None:
    data = in_session(prompt(0), said(1, parent_tool_use_id="x"), said(1), last=1)
    assert found(data) == [(3, "$.parent_tool_use_id")]


def test_a_hook_of_a_subagent_need_not_say_so_if_its_turn_fits() -> None:
    sub = {"parent_tool_use_id": "task"}
    inside = [asked(1, "b", **sub), result(2, "b", **sub), asked(3, "c", **sub)]
    for turn, right in ((3, True), (4, True), (5, False)):
        records = [prompt(0), asked(1, "task"), *inside, hook(turn), result(4, "c", **sub)]
        data = in_session(*records, said(5, **sub), result(2, "task"), said(3), last=3)
        assert found(data) == ([] if right else [(7, "$.turn")])
        named = [*records[:5], hook(turn, parent_tool_use_id="task"), *records[6:]]
        data = in_session(*named, said(5, **sub), result(2, "task"), said(3), last=3)
        assert found(data) == ([] if right else [(7, "$.turn")])


def test_memory_does_not_grow_with_what_a_trace_tells_of() -> None:
    """Of thousands of subagents and their tool uses, the latest are known, the rest forgotten."""

    def records() -> Iterator[Value]:
        yield session()
        yield prompt(0)
        for number in range(3_000):
            sub = {"parent_tool_use_id": f"task-{number}"}
            yield asked(1 + 2 * number, f"task-{number}")
            yield asked(1, "x" * 2_000, **sub)
            yield hook(1, "block", 2, **sub)
            yield result(2, "x" * 2_000, **sub)
            yield said(3, **sub)
            yield result(2 + 2 * number, f"task-{number}")
        yield end(6_000)

    data = lines(list(records()))
    tracemalloc.start()
    try:
        assert found(data) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


def test_one_fault_is_told_once() -> None:
    good = [prompt(0), asked(1, "a"), result(2, "a"), said(3), prompt(4), said(5)]
    assert found(in_session(*good, last=5)) == []
    for index in range(len(good)):
        broken = [*good]
        broken[index] = {**good[index], "kind": "nonsense"}
        assert found(in_session(*broken, last=5)) == [(index + 2, "$.kind")]


def test_an_unknown_field_does_not_keep_the_record_from_being_checked() -> None:
    data = in_session(prompt(0), {**hook(9, "warn", 0), "extra": 1}, said(1), last=1)
    assert found(data) == [(3, "$.extra"), (3, "$.turn"), (3, "$.decision")]


# Cut short


def test_every_prefix_of_a_trace_is_a_valid_prefix_whatever_byte_it_ends_at() -> None:
    data = lines([*whole()[:-1], end(5, cost_usd=0.25, error="\\ \U0001f600 é", elapsed_ms=10)])
    for size in range(len(data)):
        checked = report(data[:size], prefix=True)
        assert checked.problems == [], data[:size]
        assert checked.cut == (size > 0 and data[size - 1 : size + 1].count(b"\n") == 0)


def test_without_prefix_a_cut_trace_is_invalid() -> None:
    data = lines(whole())
    assert report(data[:-30]).valid is False
    assert found(data[:-1]) == []  # the last line feed may be missing


def test_a_prefix_may_not_hold_other_faults() -> None:
    data = lines([session(), prompt(1)])
    assert found(data, prefix=True) == [(2, "$.turn")]
    assert found(data + b"rubbish", prefix=True) == [(2, "$.turn"), (3, "$")]
    assert found(lines([session()]) + b'{"v":1,"kind":"user_p\n', prefix=True) == [(2, "$")]


# Hostile


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "a blank line"),
        (b" \t", "a blank line"),
        (b"{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
        (b"null", "a record is an object, not null"),
        (b"[]", "a record is an object, not an array"),
        (b'{"v":1,"kind":"user_prompt","turn":0,"text":"\xff"}', "not UTF-8"),
        (b'{"v":1,"kind":"user_prompt","turn":0,"text":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"v":1,"kind":"user_prompt","turn":NaN,"text":""}', "NaN is not a JSON number"),
        (b'{"v":1,"kind":"user_prompt","turn":-Infinity,"text":""}', "-Infinity is not a JSON"),
        (b'{"v":1,"kind":"user_prompt","turn":0,"text":"\\ud800"}', "half a surrogate pair"),
        (b'{"v":1,"kind":"user_prompt","turn":0,"text":"","\\udc00":1}', "half a surrogate"),
        (b'{"v":1,"kind":"user_prompt","turn":0,"text":"\x07"}', "Invalid control character"),
        (b'{"v":1,"kind":"user_prompt","turn":' + b"9" * 9999 + b',"text":""}', "at most"),
        (b'{"v":1,"kind":"user_prompt","turn":0,"text":""} {}', "not JSON: Extra data"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b"\x00", "not JSON"),
        (b"\xfe\xff\x00{\x00}", "not UTF-8"),
        (b'{"kind":["user_prompt"]}', "it is an array"),
    ],
)
def test_what_is_no_record_is_called_by_its_name(line: bytes, message: str) -> None:
    data = lines([session(), prompt(0)]) + line + b"\n" + lines([end(0)])
    checked = report(data)
    assert message in checked.problems[0].message
    assert {problem.line for problem in checked.problems} == {3}


def test_a_number_that_no_float_holds_is_an_error() -> None:
    data = lines([session(), prompt(0), asked(1, "a"), result(2, "a"), said(3), end(3)])
    assert "out of range" in only_message(data.replace(b'"ls"', b"1e999"))


def test_a_byte_order_mark_is_told_and_passed_over() -> None:
    assert found(b"\xef\xbb\xbf" + lines(whole())) == [(1, "$")]


def test_windows_line_ends_are_told_once() -> None:
    assert found(lines(whole()).replace(b"\n", b"\r\n")) == [(1, "$")]


def test_two_records_on_a_line_are_not_made_up_for_by_a_blank_line() -> None:
    data = lines([session(), prompt(0), said(1), end(1)])
    assert data.count(b"}\n{") == 3
    joined = data.replace(b"}\n{", b"}{", 2).replace(b"}\n{", b"}\n\n\n{")
    assert {line for line, _ in found(joined)} >= {1, 2, 3}


def test_a_record_over_two_lines_is_no_record() -> None:
    data = lines([session(), prompt(0), said(1), end(1)]).replace(b',"turn":0', b',\n"turn":0')
    assert {line for line, _ in found(data)} >= {2, 3}


class Endless(io.RawIOBase):
    """A stream of one line that is longer than anybody's memory."""

    def __init__(self, size: int, after: bytes) -> None:
        self.left = size
        self.after = after
        self.largest_request = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.largest_request = max(self.largest_request, len(buffer))
        size = min(len(buffer), self.left)
        if size:
            buffer[:size] = b"x" * size
            self.left -= size
            return size
        size = min(len(buffer), len(self.after))
        buffer[:size] = self.after[:size]
        self.after = self.after[size:]
        return size


def test_a_line_beyond_the_limit_is_passed_over_and_the_next_is_read() -> None:
    stream = Endless(MAX_LINE_BYTES * 3, b"\n" + lines([prompt(7)]))
    checked = check(io.BufferedReader(stream), prefix=True)
    assert [(problem.line, problem.field) for problem in checked.problems] == [(1, "$")]
    assert "16 MiB" in checked.problems[0].message
    assert checked.records == 1


def test_a_line_of_just_the_limit_is_a_line() -> None:
    data = lines([session(), prompt(0, ""), end(0)])
    longest = MAX_LINE_BYTES - len(lines([prompt(0, "")]).rstrip())
    for size, right in ((longest, True), (longest + 1, False)):
        grown = data.replace(b'"text":""', b'"text":"' + b"x" * size + b'"')
        assert report(grown).valid is right


def test_a_line_of_a_million_faults_takes_no_more_than_its_share() -> None:
    keys = ",".join(f'"k{number}":0' for number in range(100_000)).encode()
    start, rest = lines([session(), prompt(0), end(0)]).split(b'"turn":0', 1)
    checked = report(start + keys + b',"turn":0' + rest, max_problems=3)
    assert checked.problem_count == 100_000
    assert len(checked.problems) == 3


def test_listing_is_bounded_and_counting_is_not() -> None:
    checked = report(b"\n" * 1000, max_problems=10)
    assert len(checked.problems) == 10
    assert checked.problem_count == 1001


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PIECES = st.one_of(
    st.binary(max_size=40),
    JSON.map(lambda value: json.dumps(value).encode() + b"\n"),
    st.sampled_from([msgspec.json.encode(record) + b"\n" for record in whole()]),
    st.sampled_from(
        [b"\n", b"\r\n", b"{", b"}", b'"', b"\\", b"\xef\xbb\xbf", b'"turn":1,', b"}{"]
    ),
)


@given(st.lists(PIECES, max_size=12).map(b"".join), st.booleans(), st.sampled_from([None, 2, 3]))
@settings(max_examples=250, deadline=None)
def test_any_bytes_get_a_report(data: bytes, prefix: bool, version: Any) -> None:
    checked = report(data, prefix=prefix, version=version)
    assert checked.problem_count == len(checked.problems)
    last = data.count(b"\n") + 1
    assert all(1 <= problem.line <= last for problem in checked.problems)
    msgspec.json.encode(checked)  # every message is text


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_is_found_out_or_leaves_a_trace_of_the_same_meaning(data: Any) -> None:
    """Whatever passes is read alike by another JSON reader: nothing passes by a quirk of ours."""
    original = lines(whole())
    place = data.draw(st.integers(0, len(original) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = original[:place] + bytes([byte]) + original[place + 1 :]
    if report(changed).valid:
        values = [json.loads(line) for line in changed.decode().rstrip("\n").split("\n")]
        again = "".join(json.dumps(value) + "\n" for value in values).encode()
        assert len(values) == len(whole())
        assert report(again).valid


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_blocks_decoded_at_once_and_lines_decoded_one_by_one_agree(data: Any) -> None:
    """A line that only line-by-line reading takes must not change what is found in the others."""
    records = whole()
    for _ in range(data.draw(st.integers(0, 3))):
        index = data.draw(st.integers(1, len(records) - 1))
        records[index] = data.draw(st.sampled_from(whole()))
    at_once = lines(records)
    one_by_one = at_once.replace(b'"kind":', b'"kind" :')
    assert report(at_once) == report(one_by_one)
