"""The fields of a Messages request, as types: what may stand where, and of which kind.

As https://platform.claude.com/docs/en/api/messages documents them. Arrays of blocks are left as
they came: what may stand in them depends on where they stand. Fields that are not here are ignored:
agents send many that only the vendor's own service can use.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1)]
Schema = dict[str, Any]


class CacheControl(Struct):
    """A wish about the prompt cache. All of every prompt is cached here, so it changes nothing."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Enabled(Struct, tag_field="type", tag="enabled"):
    """Think, within a budget."""

    budget_tokens: Annotated[int, Meta(ge=1024)]
    display: Literal["summarized", "omitted"] | None = None


class Adaptive(Struct, tag_field="type", tag="adaptive"):
    """Think as the model sees fit."""

    display: Literal["summarized", "omitted"] | None = None


class BetweenTools(Struct, tag_field="type", tag="between_tools"):
    """Think between the uses of tools."""


class Disabled(Struct, tag_field="type", tag="disabled"):
    """Do not think."""


ThinkingConfig = Enabled | Adaptive | BetweenTools | Disabled


class Auto(Struct, tag_field="type", tag="auto"):
    """The model chooses whether it calls a tool."""

    disable_parallel_tool_use: bool | None = None


class AnyTool(Struct, tag_field="type", tag="any"):
    """Some tool must be called."""

    disable_parallel_tool_use: bool | None = None


class OneTool(Struct, tag_field="type", tag="tool"):
    """This tool must be called."""

    name: str
    disable_parallel_tool_use: bool | None = None


class NoTool(Struct, tag_field="type", tag="none"):
    """No tool is to be called."""


ToolChoiceConfig = Auto | AnyTool | OneTool | NoTool


class Format(Struct):
    """The form that the text of the answer must have."""

    type: Literal["json_schema"]
    schema: Schema


class OutputConfig(Struct):
    """Wishes about the answer. The effort is the vendor's affair."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Format | None = None


class Metadata(Struct):
    """About the request. Nothing is kept of it."""

    user_id: str | None = None


class Body(Struct, kw_only=True):
    """A whole request. `max_tokens` may be missing where tokens are only counted."""

    model: Name
    messages: list[Any]
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    system: str | list[Any] | None = None
    tools: list[Any] | None = None
    tool_choice: ToolChoiceConfig | None = None
    stop_sequences: list[Any] | None = None
    stream: bool | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    """The older name of `output_config.format`."""
    cache_control: CacheControl | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    mcp_servers: list[Any] | None = None
    thread: Any = None


class Message(Struct):
    """One message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Any]


class Text(Struct):
    """Text."""

    text: str
    cache_control: CacheControl | None = None


class Image(Struct):
    """A picture, with its source still to be read."""

    source: Any
    cache_control: CacheControl | None = None


class Document(Struct):
    """A document, with its source still to be read."""

    source: Any
    title: str | None = None
    context: str | None = None
    cache_control: CacheControl | None = None


class SearchResult(Struct):
    """A piece of a source, with its text blocks still to be read."""

    source: str
    title: str
    content: list[Any]
    cache_control: CacheControl | None = None


class Thinking(Struct):
    """Earlier reasoning. Whose signature it bears does not matter here."""

    thinking: str
    signature: str = ""


class RedactedThinking(Struct):
    """Earlier reasoning that only the vendor can read."""

    data: str


class ToolUse(Struct):
    """An earlier call."""

    id: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]+$")]
    name: Name
    input: dict[str, Any]
    cache_control: CacheControl | None = None


class ToolResult(Struct):
    """What a call came to."""

    tool_use_id: str
    content: str | list[Any] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class ServerToolUse(Struct):
    """A call that the vendor's service has run itself."""

    id: str
    name: str
    input: dict[str, Any]


class ServerToolResult(Struct):
    """What such a call came to."""

    tool_use_id: str
    content: Any = None


class Compaction(Struct):
    """A summary that stands for what came before it."""

    content: str | None = None


class Unread(Struct):
    """A block that says nothing to a model here."""


class ToolReference(Struct):
    """The name of a tool that a search has found."""

    tool_name: str


class BrowserState(Struct):
    """The tabs of a browser."""

    tabs: list[Any]


class Base64(Struct):
    """Bytes in the request itself."""

    media_type: str
    data: str


class Plain(Struct):
    """Text in the request itself."""

    data: str
    media_type: Literal["text/plain"]


class Content(Struct):
    """Text blocks as a source."""

    content: str | list[Any]


class Url(Struct):
    """Something on the network."""

    url: str


class File(Struct):
    """A file that was uploaded to the vendor."""

    file_id: str


class CustomTool(Struct):
    """A tool that the client runs, and describes."""

    name: Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,128}$")]
    input_schema: Schema
    description: str | None = None
    cache_control: CacheControl | None = None


class BuiltInTool(Struct):
    """A tool that the vendor describes."""

    type: str
