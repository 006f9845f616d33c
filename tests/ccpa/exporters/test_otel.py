import json

import pytest
from hypothesis import given, settings
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from ccpa.errors import CcpaError
from ccpa.exporters import otlp
from ccpa.exporters.otel import Options, Span, spans
from ccpa.trace import Record
from tests.ccpa.exporters.collector import attributes, collecting
from tests.ccpa.exporters.generated import traces
from tests.ccpa.exporters.reading import session
from tests.ccpa.traces import Value, asked, end, hook, prompt, result, said, whole
from tests.ccpa.traces import session as started

SECOND = 1_000_000_000
START = 1_769_860_800 * SECOND  # 2026-01-31T12:00:00Z
QUIET, TALKATIVE = Options(), Options(content=True, provider="openai")
NEWER_THAN_THE_PACKAGE = {"gen_ai.conversation.compacted"}


def made(records: list[Value] | list[Record], options: Options = QUIET) -> list[Span]:
    return spans(session(records), options)


def told(records: list[Value]) -> list[Value]:
    return [started(ts="2026-01-31T12:00:00Z"), *records]


def test_agents_answers_and_tools_are_spans_within_each_other() -> None:
    found = made(whole())
    names = {span.key: span.name for span in found}
    tree = [(span.name, names.get(span.parent or "")) for span in found]
    agent, chat = "invoke_agent apr-code", "chat demo"
    assert tree == [
        (agent, None),
        (chat, agent),
        ("execute_tool Bash", agent),
        ("execute_tool Bash", agent),
        (agent, "execute_tool Bash"),
        (chat, agent),
        ("execute_tool Bash", agent),
        (chat, agent),
        (chat, agent),
        (chat, agent),
    ]


def test_names_are_those_of_the_conventions() -> None:
    """Names within `gen_ai.` must be ones that OpenTelemetry's own package knows."""
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    used = {
        name for span in made(whole(), TALKATIVE) for name in span.attributes if "gen_ai." in name
    }
    assert used - known == NEWER_THAN_THE_PACKAGE
    assert len(used) > 15


def test_a_span_starts_when_what_came_before_had_taken_its_known_time() -> None:
    records = told(
        [
            prompt(0),
            asked(1, "a", "b", latency_ms=2000),
            result(2, "a", duration_ms=500),
            result(2, "b", duration_ms=1500),
            said(3, latency_ms=1000),
            end(3, elapsed_ms=9000),
        ]
    )
    times = [((one.start - START) / SECOND, (one.end - START) / SECOND) for one in made(records)]
    assert times == [(0, 9), (0, 2), (2, 2.5), (2, 3.5), (3.5, 4.5)]


def test_an_unknown_duration_says_so() -> None:
    records = told([prompt(0), asked(1, "a", latency_ms=2000), result(2, "a"), said(3)])
    found = made(records)
    assert [span.attributes["ccpa.duration.known"] for span in found] == [False, True, False, False]
    assert found[0].end == START + 2 * SECOND  # as long as what is known to be in it
    assert found[3].start == found[3].end


def test_what_was_said_is_told_only_when_asked_for() -> None:
    secret = "hunter2"
    use = {"type": "tool_use", "id": "k", "name": "Bash", "input": {"command": secret}}
    records = told(
        [
            prompt(0, secret),
            asked(1, blocks=[use]),
            hook(1, output=secret, tool_use_id="k"),
            result(2, "k", content=secret, side_effects={"files_read": [secret]}),
            said(3, secret),
            end(3, "error", error=secret),
        ]
    )
    assert secret not in repr(made(records))
    found = made(records, TALKATIVE)
    chat, tool, last = found[1], found[2], found[3]
    assert json.loads(str(chat.attributes["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": secret}]}
    ]
    assert json.loads(str(tool.attributes["gen_ai.tool.call.arguments"])) == {"command": secret}
    assert tool.attributes["gen_ai.tool.call.result"] == secret
    assert json.loads(str(last.attributes["gen_ai.input.messages"])) == [
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "k", "response": secret}],
        }
    ]
    (message,) = json.loads(str(last.attributes["gen_ai.output.messages"]))
    assert message["finish_reason"] == "stop"


def test_failures_and_denials_are_errors() -> None:
    records = told(
        [
            prompt(0),
            asked(1, "a", "b", "c"),
            result(2, "a", ok=False, side_effects={"exit_code": 3}),
            result(2, "b", ok=False, denied_by="mode"),
            end(2, "error"),
        ]
    )
    root, _, failed, denied, unanswered = made(records)
    assert (root.error, failed.error, denied.error) == ("_OTHER", "tool_error", "denied")
    assert failed.attributes["process.exit.code"] == 3
    assert denied.attributes["ccpa.tool.denied_by"] == "mode"
    assert unanswered.attributes["ccpa.tool.answered"] is False


def test_a_hook_is_an_event_of_the_tool_it_was_about() -> None:
    records = told(
        [
            prompt(0),
            asked(1, "k"),
            hook(1, tool_use_id="k"),
            result(2, "k", duration_ms=1000),
            hook(2, "block", 2, event="PostToolUse", tool_use_id="k"),
            said(3),
            hook(3, event="Stop"),
        ]
    )
    root, _, tool, _ = made(records)
    before, after = tool.events
    assert (before.time, after.time) == (tool.start, tool.end)
    assert after.attributes["ccpa.hook.decision"] == "block"
    assert [event.name for event in root.events] == ["ccpa.user_prompt", "ccpa.hook"]


def test_a_session_without_a_time_makes_no_spans() -> None:
    with pytest.raises(CcpaError, match=r"run\.jsonl:1: \$\.ts: .* it is 'noon'"):
        made([started(ts="noon"), prompt(0), said(1)])


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_time_that_no_backend_can_tell_is_the_nearest_that_it_can(time: str) -> None:
    ours = session([started(ts=time), prompt(0), said(1, latency_ms=2**53 - 1)])
    root, chat = otlp.recorded(ours, spans(ours, QUIET))
    assert root.start_time in (0, 2**63 - 1)
    assert chat.end_time == 2**63 - 1


@settings(max_examples=20)
@given(traces())
def test_any_trace_makes_spans_that_lie_in_time(records: list[Record]) -> None:
    ours = session(records)
    found = spans(ours, TALKATIVE)
    assert len(otlp.recorded(ours, found)) == len(found)
    assert list(otlp.json_lines(otlp.recorded(ours, found)))
    seen: dict[str | None, Span | None] = {None: None}
    for span in found:
        assert span.key not in seen
        parent = seen[span.parent]  # a parent comes first
        assert parent is None or parent.start <= span.start <= span.end
        seen[span.key] = span


def test_a_collector_gets_the_spans_over_http() -> None:
    with collecting() as collector:
        sender = otlp.Collector(collector.url)
        ours = session(whole())
        sender.send(otlp.recorded(ours, spans(ours, QUIET)))
        sender.close()
    assert collector.paths == ["/v1/traces"]
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    resource = collector.requests[0].resource_spans[0].resource
    assert attributes(resource) == {"service.name": "apr-code", "service.version": "1.0"}
    by_id = {span.span_id: span for span in collector.spans}
    assert len(by_id) == 10
    assert {span.trace_id.hex() for span in collector.spans} == {"01980f3a5c9e7b219d3c0242ac120002"}
    roots = [span for span in collector.spans if not span.parent_span_id]
    assert [attributes(root)["gen_ai.conversation.id"] for root in roots] == [
        "01980f3a-5c9e-7b21-9d3c-0242ac120002"
    ]
    assert all(span.parent_span_id in by_id for span in collector.spans if span not in roots)
    chat = next(span for span in collector.spans if span.name == "chat demo")
    assert (chat.kind, attributes(chat)["gen_ai.usage.cache_read.input_tokens"]) == (3, 4)
    assert attributes(chat)["gen_ai.response.finish_reasons"] == ["tool_use"]


def test_a_session_sent_twice_has_the_same_ids() -> None:
    ours = session(whole())
    first, second = (list(otlp.json_lines(otlp.recorded(ours, spans(ours, QUIET)))) for _ in "ab")
    assert first == second


def test_no_event_is_lost_to_the_limits_of_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "5")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    ours = session(told([prompt(0), said(1), *(hook(1, event="Stop") for _ in range(300))]))
    root = otlp.recorded(ours, spans(ours, QUIET))[0]
    assert len(root.events) == 301


def test_json_lines_spell_ids_in_hexadecimal() -> None:
    ours = session(whole())
    (line,) = otlp.json_lines(otlp.recorded(ours, spans(ours, QUIET)))
    found = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert {span["traceId"] for span in found} == {"01980f3a5c9e7b219d3c0242ac120002"}
    assert all(len(bytes.fromhex(span["spanId"])) == 8 for span in found)


def test_a_collector_that_refuses_is_named() -> None:
    with collecting(status=403) as collector:
        sender = otlp.Collector(collector.url)
        ours = session(whole())
        with pytest.raises(CcpaError, match=rf"{collector.url}/v1/traces took no spans: .*403"):
            sender.send(otlp.recorded(ours, spans(ours, QUIET)))
        sender.close()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://host/otlp/v1/traces", "https://host/otlp/v1/traces"),
        ("https://host/otlp?key=1", "https://host/otlp/v1/traces?key=1"),
    ],
)
def test_an_endpoint_is_where_a_collector_is(endpoint: str, url: str) -> None:
    assert otlp.traces_url(endpoint) == url


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:4318", "ftp://host", "http://", "http://[::1", "http://host:x"]
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(CcpaError, match="is no endpoint"):
        otlp.traces_url(endpoint)
