import msgspec
import pytest

from ccpa import trace
from tests.ccpa.traces import asked, lines, result, session, whole


def records() -> list[trace.Record]:
    return list(trace.read(lines(whole()).splitlines()))


def test_a_line_of_each_kind_survives_being_read_and_written() -> None:
    for record in records():
        line = trace.encode(record)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert trace.decode(line) == record


def test_blank_lines_are_passed_over_when_reading() -> None:
    assert len(list(trace.read([b"\n", *lines(whole()).splitlines(), b"  "]))) == len(whole())


def test_an_actor_is_a_kebab_case_name() -> None:
    for good in ("claude-code", "apr-code", "x", "agent-2-beta"):
        record = trace.decode(msgspec.json.encode(session(actor=good)))
        assert isinstance(record, trace.SessionStart)
    for bad in ("", "Apr", "apr_code", "-apr", "apr-", "a--b", "apr-code\n"):
        with pytest.raises(msgspec.ValidationError):
            trace.decode(msgspec.json.encode(session(actor=bad)))


def test_version_2_keeps_only_what_its_reader_knows() -> None:
    reader = msgspec.json.Decoder(trace.record_type(2))
    kept = [made for record in records() if (made := trace.to_version_2(record)) is not None]
    assert len(kept) == len(whole()) - 5  # the compaction and the subagent's four records
    for record in kept:
        read = reader.decode(trace.encode(record))
        assert type(read).__name__ == type(record).__name__


def test_version_2_knows_two_actors_only() -> None:
    foreign = trace.decode(msgspec.json.encode(session(actor="other-agent")))
    changed = trace.to_version_2(foreign)
    assert isinstance(changed, trace.SessionStart)
    assert changed.actor == "apr-code"


def test_version_2_refuses_each_field_that_version_3_added() -> None:
    reader = msgspec.json.Decoder(trace.record_type(2))
    tried = 0
    for record in records():
        plain = msgspec.to_builtins(trace.to_version_2(record)) or {}
        for field in trace.VERSION_3_FIELDS.get(type(record), ()) if plain else ():
            line = msgspec.json.encode(plain | {field: None})
            assert type(trace.decode(line)) is type(record)
            with pytest.raises(msgspec.ValidationError, match=field):
                reader.decode(line)
            tried += 1
    assert tried > 20


def test_what_version_3_added_reads_as_none_on_records_of_version_2() -> None:
    reader = msgspec.json.Decoder(trace.record_type(2))
    for value in (asked(1, "a"), result(2, "a")):
        assert reader.decode(msgspec.json.encode(value)).parent_tool_use_id is None
