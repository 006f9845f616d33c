"""Options that other programs know from Claude Code: what they mean here, or why they are refused.

The public Agent SDKs start their CLI with these. Each is accepted and does what it says, or ends
the run with a sentence: none is ignored.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apr.cli.options import natural
from apr.errors import AprError
from apr.legible import legible

_REFUSED = {
    "--betas": "there are no beta features of an API here",
    "--task-budget": "models here do not know such a budget; --max-tokens-total ends the run",
    "--resume-drops-turn": "a session is gone on with as a whole",
    "--resume-session-at": "a session is gone on with as a whole; --fork-session keeps the old one",
    "--session-mirror": "sessions are stored here only: see apr sessions",
}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_MOST_EFFORT = {"xhigh": "high", "max": "high"}  # chat templates know three


def add_compatible_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "--input-format",
        choices=("text", "stream-json"),
        default="text",
        help="with stream-json, prompts and requests come as lines of JSON: see docs/headless.md",
    )
    add("--include-partial-messages", action="store_true", help="stream-json: also pieces of text")
    add("--include-hook-events", action="store_true", help="stream-json: also each hook that ran")
    add("--replay-user-messages", action="store_true", help="stream-json: repeat each prompt")
    add(
        "--verbose", action="store_true", help="accepted: stream-json says all there is in any case"
    )
    add(
        "--permission-prompt-tool",
        metavar="stdio",
        help="ask the program that drives us, where consent is needed",
    )
    add("--dangerously-skip-permissions", action="store_true", help=argparse.SUPPRESS)
    add("--tools", metavar="LIST", help="the built-in tools there are: names, default, or empty")
    add("--system-prompt-file", metavar="FILE", type=Path, help="as --system-prompt")
    add("--append-system-prompt-file", metavar="FILE", type=Path, help="as --append-system-prompt")
    add("--fallback-model", metavar="NAME", help="where --model is not on this disk")
    add("--max-budget-usd", metavar="USD", type=float, help="a model on this machine costs nothing")
    add("--thinking", choices=("adaptive", "enabled", "disabled"), help="whether the model reasons")
    add("--max-thinking-tokens", metavar="N", type=natural, help="0: the model does not reason")
    add("--thinking-display", choices=("summarized", "omitted"), help="stream-json: show reasoning")
    add("--json-schema", metavar="SCHEMA", help="the form of the answer: JSON, or a file")
    add("--effort", choices=_EFFORTS, help="how much a model that knows this reasons")
    for name in _REFUSED:
        add(name, nargs="?", const="", help=argparse.SUPPRESS)


def check(args: argparse.Namespace) -> None:
    """See that the options go together.

    Raises:
        AprError: they do not, or one has no meaning here.
    """
    for name, why in _REFUSED.items():
        if getattr(args, name[2:].replace("-", "_")) is not None:
            raise AprError(f"{name}: {why}")
    streams = args.output_format == "stream-json"
    for given, name in (
        (args.include_partial_messages, "--include-partial-messages"),
        (args.include_hook_events, "--include-hook-events"),
        (args.thinking_display, "--thinking-display"),
        (args.input_format == "stream-json", "--input-format stream-json"),
    ):
        if given and not streams:
            raise AprError(f"{name} goes with --output-format stream-json")
    if args.input_format == "stream-json":
        if args.prompt is not None:
            raise AprError("--input-format stream-json: prompts come through standard input alone")
    elif args.replay_user_messages:
        raise AprError("--replay-user-messages goes with --input-format stream-json")
    elif args.permission_prompt_tool is not None:
        raise AprError("--permission-prompt-tool goes with --input-format stream-json")
    if args.permission_prompt_tool not in {None, "stdio"}:
        raise AprError(
            f"--permission-prompt-tool {args.permission_prompt_tool}: only stdio, the program that "
            "drives us, can be asked"
        )
    if args.base_url and args.max_budget_usd is not None:
        raise AprError(
            "--max-budget-usd: what the server's tokens cost is not known here; --max-tokens-total "
            "ends a run too"
        )
    if args.base_url and args.fallback_model:
        raise AprError("--fallback-model is for models on this disk; --base-url has the one")


def schema(args: argparse.Namespace) -> dict[str, Any] | None:
    """Return what the answer must be of.

    Raises:
        AprError: it is no schema, or nobody would see the answer.
    """
    if args.json_schema is None:
        return None
    if args.output_format == "text":
        raise AprError("--json-schema goes with --output-format json or stream-json")
    from apr.structured import read_schema

    return read_schema(args.json_schema)


def permission_mode(args: argparse.Namespace) -> str | None:
    """Return the permission mode that is asked for, None for that of the settings."""
    if args.dangerously_skip_permissions:
        return "bypassPermissions"
    mode: str | None = args.permission_mode
    return mode


def system_prompt(args: argparse.Namespace) -> tuple[str | None, str | None]:
    """Return what stands in the place of the system prompt, and what is added to it.

    An empty one stands for the built-in prompt: with that the SDKs ask for a short one, which the
    built-in is.

    Raises:
        AprError: a file cannot be read.
    """
    instead, added = args.system_prompt, args.append_system_prompt
    if args.system_prompt_file is not None:
        instead = _text("--system-prompt-file", args.system_prompt_file)
    if args.append_system_prompt_file is not None:
        added = _text("--append-system-prompt-file", args.append_system_prompt_file)
    return instead or None, added


def tools(args: argparse.Namespace) -> tuple[str, ...] | None:
    """Return the names of the built-in tools there are to be; None for all."""
    if args.tools is None or args.tools.strip() == "default":
        return None
    return tuple(name.strip() for name in args.tools.split(",") if name.strip())


def request_options(args: argparse.Namespace) -> Mapping[str, Any]:
    """Return what requests say of reasoning, as chat templates and servers understand it."""
    template: dict[str, Any] = {}
    options: dict[str, Any] = {}
    thinking = args.thinking
    if thinking is None and args.max_thinking_tokens is not None:
        thinking = "enabled" if args.max_thinking_tokens else "disabled"
    if thinking in {"enabled", "disabled"}:
        template["enable_thinking"] = thinking == "enabled"
    if args.effort is not None:
        effort = _MOST_EFFORT.get(args.effort, args.effort)
        if args.base_url:
            options["reasoning_effort"] = effort
        else:
            template["reasoning_effort"] = effort
    return {**options, "chat_template_kwargs": template} if template else options


def _text(option: str, path: Path) -> str:
    try:
        return legible(path.read_text(encoding="utf-8-sig", errors="surrogateescape"))
    except OSError as error:
        raise AprError(f"{option}: {path}: {error.strerror}") from None
