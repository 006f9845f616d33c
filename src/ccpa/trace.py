r"""The action trace: its records, and their JSON Lines form.

One record a line, UTF-8, `\n`. This module is the one place that knows the schema. Version 2 is
what other implementations read; version 3 is a superset (optional fields and the `compaction`
record). The types accept both; `to_version_2` takes out what version 2 does not have.

What the types enforce is the *shape* of a record. What makes a sequence of records sensible, and
the formats of ids and times, is the business of `ccpa.validate`. `docs/trace.md` describes the
format for people who implement it.
"""

import functools
import operator
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

FIRST_PROMPT_TURN = 0

MAX_LINE_BYTES = 16 * 1024 * 1024
"""A longer line is no record: it bounds what a reader has to hold."""
MAX_INTEGER = 2**53 - 1
"""The largest integer that every JSON reader reads exactly (RFC 7493, section 2.2)."""

_TURN = "Position of the message in its conversation."
_SUBAGENT = "The tool use that started the subagent whose record this is; absent otherwise."

Turn = Annotated[int, Meta(ge=0, le=MAX_INTEGER, description=_TURN)]
Count = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
ExitCode = Annotated[int, Meta(ge=-(2**31), le=2**32 - 1, description="As the system tells it.")]
# `$` alone would let a final newline pass.
Actor = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)", description="Kebab case.")]
SessionId = Annotated[str, Meta(description="UUIDv7.", extra_json_schema={"format": "uuid"})]
Timestamp = Annotated[
    str, Meta(description="RFC 3339, UTC.", extra_json_schema={"format": "date-time"})
]
Sha256 = Annotated[str, Meta(description="64 lower-case hexadecimal digits.")]
ParentToolUse = Annotated[str, Meta(description=_SUBAGENT)]
TurnStop = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]
SessionStop = Literal["end_turn", "max_tokens", "stop_sequence", "error"]
HookDecision = Literal["allow", "warn", "block"]
DeniedBy = Literal["rule", "mode", "hook", "user"]
Version2Actor = Literal["claude-code", "apr-code"]
VERSION_2_ACTORS = frozenset(get_args(Version2Actor))


class TextBlock(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Text the assistant said."""

    text: str


class ThinkingBlock(
    Struct, tag_field="type", tag="thinking", forbid_unknown_fields=True, omit_defaults=True
):
    """Reasoning that precedes the answer."""

    thinking: str
    signature: str | None = None


class ToolUseBlock(Struct, tag_field="type", tag="tool_use", forbid_unknown_fields=True):
    """One use of a tool, as the model asked for it."""

    id: str
    name: str
    input: dict[str, Any]


Block = TextBlock | ThinkingBlock | ToolUseBlock


class Usage(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Tokens of one assistant turn. `cache_read_tokens` are part of `input_tokens`."""

    input_tokens: Count
    output_tokens: Count
    cache_read_tokens: Count = 0


class SideEffects(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a tool did besides answering. Paths inside the working directory are relative to it."""

    files_read: list[str] = msgspec.field(default_factory=list)
    files_written: list[str] = msgspec.field(default_factory=list)
    exit_code: ExitCode | None = None


class _Record(
    Struct, tag_field="kind", forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    v: Literal[1]


class SessionStart(_Record, tag="session_start", kw_only=True):
    """The first record. `cwd_sha256` is the working tree's git tree id (`ccpa.workspace`)."""

    session_id: SessionId
    ts: Timestamp
    actor: Actor
    model: str
    cwd_sha256: Sha256
    agent_version: str | None = None
    schema_version: Literal[2, 3] | None = None
    cwd: str | None = None
    permission_mode: str | None = None
    parent_session_id: str | None = None


class UserPrompt(_Record, tag="user_prompt", kw_only=True):
    """What a person, or a program in a person's place, asked for."""

    turn: Turn
    text: str


class AssistantTurn(_Record, tag="assistant_turn", kw_only=True):
    """One answer of the model: at least one block."""

    turn: Annotated[int, Meta(ge=1, le=MAX_INTEGER, description=_TURN)]
    blocks: Annotated[list[Block], Meta(min_length=1)]
    stop_reason: TurnStop
    usage: Usage | None = None
    model: str | None = None
    latency_ms: Count | None = None
    parent_tool_use_id: ParentToolUse | None = None


class ToolResult(_Record, tag="tool_result", kw_only=True):
    """What one tool use came to. `content` is the text the model was given."""

    turn: Annotated[int, Meta(ge=2, le=MAX_INTEGER, description=_TURN)]
    tool_use_id: str
    ok: bool
    content: str
    side_effects: SideEffects | None = None
    duration_ms: Count | None = None
    denied_by: DeniedBy | None = None
    parent_tool_use_id: ParentToolUse | None = None
    content_sha256: Sha256 | None = None
    truncated: bool | None = None


class HookEvent(_Record, tag="hook_event", kw_only=True):
    """One hook that ran. `exit_code` 0 allows, 2 blocks, anything else warns."""

    turn: Turn
    event: str
    decision: HookDecision
    exit_code: ExitCode
    matcher: str | None = None
    output: str | None = None
    tool_use_id: str | None = None
    duration_ms: Count | None = None
    parent_tool_use_id: ParentToolUse | None = None


class SkillInvocation(_Record, tag="skill_invocation", kw_only=True):
    """A skill was put to use."""

    turn: Turn
    name: str
    source: Literal["user_invoked", "auto_matched"]
    instructions_injected: bool = False
    parent_tool_use_id: ParentToolUse | None = None


class Compaction(_Record, tag="compaction", kw_only=True):
    """The history was summarised to make room (version 3)."""

    turn: Turn
    trigger: Literal["manual", "auto"]
    tokens_before: Count
    tokens_after: Count
    summary_sha256: Sha256 | None = None
    parent_tool_use_id: ParentToolUse | None = None


class SessionEnd(_Record, tag="session_end", kw_only=True):
    """The last record."""

    turn: Turn
    stop_reason: SessionStop
    elapsed_ms: Count | None = None
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    cwd_sha256_after: Sha256 | None = None
    error: str | None = None
    cost_usd: Annotated[float, Meta(ge=0)] | None = None


Record = (
    SessionStart
    | UserPrompt
    | AssistantTurn
    | ToolResult
    | HookEvent
    | SkillInvocation
    | Compaction
    | SessionEnd
)

# Fields that version 2 lacks. Its reader may refuse what it does not know, so they are taken out.
VERSION_3_FIELDS: dict[type[Struct], tuple[str, ...]] = {
    SessionStart: (
        "agent_version",
        "schema_version",
        "cwd",
        "permission_mode",
        "parent_session_id",
    ),
    UserPrompt: (),
    AssistantTurn: ("usage", "model", "latency_ms", "parent_tool_use_id"),
    ToolResult: ("duration_ms", "denied_by", "parent_tool_use_id", "content_sha256", "truncated"),
    HookEvent: ("tool_use_id", "duration_ms", "parent_tool_use_id"),
    SkillInvocation: ("parent_tool_use_id",),
    SessionEnd: ("cwd_sha256_after", "error", "cost_usd"),
}

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    r"""Return the record's line, `\n` included."""
    return _encoder.encode(record) + b"\n"


def decode(line: bytes | str) -> Record:
    """Read one line.

    Raises:
        msgspec.ValidationError: the line is JSON but no record; the message ends in the field.
        msgspec.DecodeError: the line is not JSON.
    """
    return _decoder.decode(line)


def read(lines: Iterable[bytes]) -> Iterator[Record]:
    """Yield the records of a trace's lines, blank lines left out. Raises as `decode` does."""
    return (_decoder.decode(line) for line in lines if line.strip())


def to_version_2(record: Record) -> Record | None:
    """Return the record without what only version 3 has; None where version 2 has no such record.

    Version 2 knows one conversation only, so the records of subagents have no place in it.
    """
    fields = VERSION_3_FIELDS.get(type(record))
    if fields is None or getattr(record, "parent_tool_use_id", None) is not None:
        return None
    changes: dict[str, Any] = dict.fromkeys(fields)
    if isinstance(record, SessionStart) and record.actor not in VERSION_2_ACTORS:
        changes["actor"] = "apr-code"
    return msgspec.structs.replace(record, **changes)


@functools.cache
def record_type(version: Literal[2, 3]) -> Any:
    """Return the union of a version's record types, for msgspec to decode or describe.

    Version 3 is `Record`. The types of version 2 are made from it: the same names, tags and fields,
    less what is in `VERSION_3_FIELDS`, which reads as None on their instances.
    """
    if version == 3:
        return Record
    kinds = [_version_2_type(kind, later) for kind, later in VERSION_3_FIELDS.items()]
    return functools.reduce(operator.or_, kinds)


def _version_2_type(kind: type[Struct], later: tuple[str, ...]) -> Any:
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        if field.name in later or field.name == "v":
            continue
        annotation = Version2Actor if field.name == "actor" else field.type
        fields.append(
            (field.name, annotation) if field.required else (field.name, annotation, field.default)
        )
    return msgspec.defstruct(
        kind.__name__,
        fields,
        bases=(_Record,),
        namespace={"__doc__": kind.__doc__} | dict.fromkeys(later),
        module=__name__,
        tag=kind.__struct_config__.tag,
        kw_only=True,
    )
