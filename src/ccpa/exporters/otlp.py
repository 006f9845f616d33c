"""OTLP, the protocol of OpenTelemetry: spans sent to a collector, or as lines of JSON.

Made with OpenTelemetry's own SDK, which comes with the extra `otel` and is imported only here. The
ids of spans are made from the session's id, so that a session sent twice is one session.
"""

import base64
import hashlib
import importlib.util
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from ccpa.console import one_line
from ccpa.errors import CcpaError
from ccpa.exporters.otel import Span
from ccpa.exporters.sessions import Session

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

SCOPE = "ccpa"
TIMEOUT_SECONDS = 10.0
_PATH = "/v1/traces"
_BATCH = 256
"""Spans in one request, or on one line."""
_MODULES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def require() -> None:
    """Make sure that the SDK is there.

    Raises:
        CcpaError: it is not; the message says how to install it.
    """
    try:
        missing = any(importlib.util.find_spec(name) is None for name in _MODULES)
    except ModuleNotFoundError:  # of a parent package
        missing = True
    if missing:
        raise CcpaError(
            "OpenTelemetry's SDK is not installed; it comes with an extra:\n"
            "  pip install 'apr-code[otel]'"
        )


def traces_url(endpoint: str) -> str:
    """Return where a collector takes spans.

    Raises:
        CcpaError: the endpoint is no URL of HTTP.
    """
    try:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError(endpoint)
    except ValueError:  # urlsplit has its own, of brackets and ports
        shown = one_line(endpoint)
        raise CcpaError(f"{shown} is no endpoint; one looks like http://127.0.0.1:4318") from None
    path = parts.path.rstrip("/")
    return parts._replace(path=path if path.endswith(_PATH) else path + _PATH).geturl()


def recorded(session: Session, spans: list[Span]) -> "list[ReadableSpan]":
    """Return a session's spans as the SDK has them, a parent before its children."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    from opentelemetry.trace import SpanKind, Status, StatusCode

    unlimited = SpanLimits.UNSET
    service = {"service.name": session.start.actor}
    if session.start.agent_version is not None:
        service["service.version"] = session.start.agent_version
    kept = InMemorySpanExporter()
    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource(service),
        shutdown_on_exit=False,
        id_generator=_ids(session.start.session_id, [span.key for span in spans]),
        span_limits=SpanLimits(unlimited, unlimited, unlimited, unlimited, unlimited),
    )
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer(SCOPE)
    contexts: dict[str | None, Context] = {None: trace.set_span_in_context(trace.INVALID_SPAN)}
    for span in spans:
        made = tracer.start_span(
            span.name,
            contexts[span.parent],
            SpanKind.CLIENT if span.kind == "client" else SpanKind.INTERNAL,
            span.attributes,
            start_time=span.start,
        )
        contexts[span.key] = trace.set_span_in_context(made)
        for event in span.events:
            made.add_event(event.name, event.attributes, event.time)
        if span.error is not None:
            made.set_attribute("error.type", span.error)
            made.set_status(Status(StatusCode.ERROR))
        made.end(span.end)
    return list(kept.get_finished_spans())


def json_lines(spans: "list[ReadableSpan]") -> Iterator[bytes]:
    """Yield spans as lines of OTLP JSON, some in each, as OpenTelemetry's file exporters do."""
    for first in range(0, len(spans), _BATCH):
        yield _json_line(spans[first : first + _BATCH])


def _json_line(spans: "list[ReadableSpan]") -> bytes:
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    message = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    for resource in message.get("resourceSpans", ()):
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                _spell_ids(span)
    return msgspec.json.encode(message) + b"\n"


def _spell_ids(span: dict[str, Any]) -> None:
    """Spell ids in hexadecimal, where OTLP's JSON differs from that of Protocol Buffers."""
    for name in ("traceId", "spanId", "parentSpanId"):
        if name in span:
            span[name] = base64.b64decode(span[name]).hex()


class Collector:
    """A collector to send spans to. Headers come from `OTEL_EXPORTER_OTLP_HEADERS`, if set.

    Raises:
        CcpaError: the endpoint is no URL of HTTP.
    """

    def __init__(self, endpoint: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        self.url = traces_url(endpoint)
        self._exporter: SpanExporter = OTLPSpanExporter(self.url, timeout=TIMEOUT_SECONDS)

    def send(self, spans: "list[ReadableSpan]") -> None:
        """Send spans, some at a time.

        Raises:
            CcpaError: the collector could not be reached, or did not take them.
        """
        from opentelemetry.sdk.trace.export import SpanExportResult

        for first in range(0, len(spans), _BATCH):
            with _messages() as said:
                result = self._exporter.export(spans[first : first + _BATCH])
            if result is not SpanExportResult.SUCCESS:
                why = one_line(" ".join(said[-2:])) or "it gave no reason"
                raise CcpaError(f"the collector at {one_line(self.url)} took no spans: {why}")

    def close(self) -> None:
        """Let go of the connection."""
        self._exporter.shutdown()


@contextmanager
def _messages() -> Iterator[list[str]]:
    """Catch what the SDK logs: it tells reasons in no other way."""
    said: list[str] = []

    class _Catch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, handler = logging.getLogger("opentelemetry"), _Catch()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _ids(session_id: str, keys: list[str]) -> Any:
    """Return a generator of ids: the trace's from the session, each span's from its key."""
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    try:
        trace_id = uuid.UUID(session_id).int
    except ValueError:
        trace_id = int.from_bytes(hashlib.sha256(session_id.encode()).digest()[:16])
    waiting = iter(keys)

    class _Ids(IdGenerator):
        def generate_trace_id(self) -> int:
            return trace_id or 1  # zero is no id

        def generate_span_id(self) -> int:
            key = f"{session_id}\n{next(waiting)}"
            return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) or 1

    return _Ids()
