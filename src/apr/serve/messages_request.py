"""The body of a Messages request -> a `Request` to a model, and how its answer is to be told."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

from apr.providers.base import Forced, Message, Request, ToolChoice, ToolSpec
from apr.serve import messages_schema as schema
from apr.serve.backend import Served
from apr.serve.messages_content import text_of
from apr.serve.messages_errors import Invalid, items, read, shown
from apr.serve.messages_history import read_messages
from apr.serve.messages_tools import read_tools

MOST_MESSAGES = 100_000
MOST_TOP_K = 1_000_000
"""More than any vocabulary has."""

_NO_THREADS = {"error_code": "thread_unsupported_request", "unsupported": []}
"""What makes the vendor's client send the whole history instead."""

Reasoning = Literal["shown", "omitted", "hidden"]


class Asked(Struct, frozen=True, kw_only=True):
    """What a client asked."""

    request: Request
    model: str
    """The model that the client named."""
    stream: bool = False
    reasoning: Reasoning = "hidden"
    """Whether thinking is told: with its text, without, or not at all."""
    one_call: bool = False
    """Whether the answer may hold one tool use only."""
    left_out: tuple[str, ...] = ()
    """Types of the tools that no model here can be offered."""


def read_request(body: bytes, served: Served, *, counting: bool = False) -> Asked:
    """Read a request for the model that is served; with `counting`, one to count its tokens.

    Raises:
        Invalid: it is not as it must be; the message begins with the path of the field.
    """
    form = read(_decoded(body), schema.Body, "")
    if form.max_tokens is None and not counting:
        raise Invalid("max_tokens", "Field required")
    if form.mcp_servers:
        raise Invalid("mcp_servers", "This server opens no connections")
    if form.thread is not None:
        raise Invalid(
            "thread",
            "This server keeps no conversations. Send the whole history",
            details=_NO_THREADS,
        )
    tools, left_out = read_tools(form.tools or [])
    system, messages = _conversation(form, served)
    _check_thinking(form)
    return Asked(
        request=Request(
            system=system,
            messages=messages,
            tools=tools,
            tool_choice=_tool_choice(form, tools),
            max_tokens=_limit(form, served),
            temperature=form.temperature,
            stop=tuple(_stop(form)),
            options=_options(form),
        ),
        model=form.model,
        stream=bool(form.stream),
        reasoning=_reasoning(form.thinking),
        one_call=bool(getattr(form.tool_choice, "disable_parallel_tool_use", False)),
        left_out=left_out,
    )


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("body", f"This is not JSON ({error})") from None
    except RecursionError:
        raise Invalid("body", "This JSON is nested too deeply") from None


def _conversation(form: schema.Body, served: Served) -> tuple[str, tuple[Message, ...]]:
    if not form.messages:
        raise Invalid("messages", "At least one message is required")
    if len(form.messages) > MOST_MESSAGES:
        raise Invalid("messages", f"There may be at most {MOST_MESSAGES} messages")
    system = "" if form.system is None else text_of(form.system, "system")
    return system, read_messages(form.messages, vision=served.vision)


def _limit(form: schema.Body, served: Served) -> int | None:
    """Return how many tokens may be generated: there is never room for more than the context."""
    return None if form.max_tokens is None else min(form.max_tokens, served.context)


def _check_thinking(form: schema.Body) -> None:
    if not isinstance(form.thinking, schema.Enabled):
        return
    if form.max_tokens is not None and form.max_tokens <= form.thinking.budget_tokens:
        raise Invalid("max_tokens", "Must be greater than `thinking.budget_tokens`")
    if isinstance(form.tool_choice, schema.AnyTool | schema.OneTool):
        raise Invalid("tool_choice", "A tool cannot be forced while thinking is enabled")


def _tool_choice(form: schema.Body, tools: Iterable[ToolSpec]) -> ToolChoice:
    names = {tool.name for tool in tools}
    match form.tool_choice:
        case schema.AnyTool() | schema.OneTool() if not names:
            raise Invalid("tool_choice", "A tool cannot be forced where none is offered")
        case schema.OneTool(name) if name not in names:
            raise Invalid("tool_choice.name", f"{shown(name)} is not among the tools")
        case schema.OneTool(name):
            return Forced(name)
        case schema.AnyTool():
            return Forced()
        case schema.NoTool():
            return "none"
        case _:
            return "auto"


def _stop(form: schema.Body) -> Iterator[str]:
    for value, path in items(form.stop_sequences or [], "stop_sequences"):
        text = read(value, str, path)
        if not text.strip():
            raise Invalid(path, "A stop sequence must hold more than white space")
        yield text


def _options(form: schema.Body) -> dict[str, Any]:
    """Return what the engine is told beyond the standard fields.

    A template that knows no `enable_thinking` ignores it. A format is a grammar on the answer,
    and a model that thinks first would break it: so it does not think then.
    """
    options: dict[str, Any] = {}
    if form.top_p is not None:
        options["top_p"] = form.top_p
    if form.top_k is not None:
        options["top_k"] = min(form.top_k, MOST_TOP_K)
    format_ = (form.output_config and form.output_config.format) or form.output_format
    if format_ and isinstance(form.tool_choice, schema.AnyTool | schema.OneTool):
        raise Invalid("tool_choice", "A tool cannot be forced where the answer must have a form")
    if format_:
        options["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": format_.schema},
        }
    thinks = _reasoning(form.thinking) != "hidden" and not format_
    options["chat_template_kwargs"] = {"enable_thinking": thinks}
    return options


def _reasoning(config: schema.ThinkingConfig | None) -> Reasoning:
    """Return whether thinking is told. A client that did not ask for it does not expect it."""
    if config is None or isinstance(config, schema.Disabled):
        return "hidden"
    return "omitted" if getattr(config, "display", None) == "omitted" else "shown"
