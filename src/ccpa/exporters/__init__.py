"""Traces, turned into what other programs read: one module per format.

To add a format, write a module with a pure function from a `sessions.Session` to the format's
values, enter it in `FORMATS`, and give it its options in `ccpa.cli.export`. `docs/export.md` says
what becomes of what.
"""

FORMATS = {
    "atif": "Agent Trajectory Interchange Format, as Harbor reads it",
    "otel": "OpenTelemetry spans of the GenAI conventions: to a collector, or OTLP JSON lines",
    "sft": "chat messages and tools for supervised fine-tuning: JSON Lines",
}
