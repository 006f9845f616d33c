"""`apr run`: ask a model something, or chat with it. No tools, no project."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from apr.answer import Answered, AskingFailed, ask, per_second
from apr.cli.options import add_engine_options, natural, positive, share, temperature
from apr.errors import AprError
from apr.legible import legible
from apr.providers.base import Provider, ProviderError, Request, UserMessage
from apr.ui.answer import AnswerPrinter, figures

EPILOG = """\
examples:
  apr run demo                                     a chat: /exit or Ctrl-D ends it
  apr run qwen3-coder "what is a monad?"
  git diff | apr run qwen3-coder "write a commit message"
  apr run qwen3-coder --temperature 0 --json "2+2?" | jq .speed
  apr run qwen3-coder --json-schema '{"type":"object","properties":{"n":{"type":"integer"}}}' "…"

The answer goes to standard output, all else to standard error. On a terminal Ctrl-C ends an answer,
not the chat. With --temperature 0 the same prompt gets the same answer.
exit codes: 0 done, 1 the model or its answer failed, 2 wrong usage or input, 3 no such model,
130 interrupted."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    parser.description = (
        "Ask a model something, or chat with it. It has no tools and sees no files."
    )
    parser.epilog = EPILOG
    add("model", help="demo, a .gguf file, or a name (see: apr models)")
    add("prompt", nargs="?", help="what to ask; standard input is added to it when piped in")
    add("--system", metavar="TEXT", default="", help="the system prompt (default: none)")
    add("--json", action="store_true", help="print one JSON object: text, thinking, usage, speed")
    add("--json-schema", metavar="FILE|JSON", help="the answer is JSON that this schema describes")
    add("--temperature", metavar="T", type=temperature, help="0 is deterministic")
    add("--top-p", metavar="P", type=share, help="sample from the likeliest tokens that make up P")
    add(
        "--top-k", metavar="N", type=natural, help="sample from the N likeliest tokens; 0: from all"
    )
    add("--seed", metavar="N", type=natural, help="sample the same way again")
    add("--max-tokens", metavar="N", type=positive, help="per answer (default: as many as fit)")
    add_engine_options(parser)
    _let_options_stand_between(parser)


def _let_options_stand_between(parser: argparse.ArgumentParser) -> None:
    """Read `MODEL --json PROMPT` as well.

    Before Python 3.13 argparse takes an optional word only directly behind the one before it.
    """
    parse = parser.parse_known_args

    def parse_known_args(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        found, rest = parse(args, namespace)
        if found.prompt is None and rest and not rest[0].startswith("-"):
            found.prompt = rest.pop(0)
        return found, rest

    parser.parse_known_args = parse_known_args  # type: ignore[method-assign, assignment]


def run(args: argparse.Namespace) -> int:
    """Ask once or chat; return the exit code.

    Raises:
        AprError: what is told to the user.
    """
    from apr.models.resolve import choose
    from apr.providers.local import LocalModel

    options, schema = _options(args)
    choice = choose(args.model, os.environ)
    prompt = _prompt(args.prompt)
    if prompt is None and args.json:
        raise AprError("--json goes with a prompt, not with a chat")
    asked = Request(
        system=legible(args.system),
        messages=(),
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        options=options,
    )
    provider = LocalModel(
        choice.path, legible(choice.name), context=args.ctx, keep_alive=args.keep_alive
    )
    if prompt is None:
        from apr.ui.chat import Chat

        Chat(provider, asked).talk()
        return 0
    request = msgspec.structs.replace(asked, messages=(UserMessage(prompt),))
    return asyncio.run(_once(provider, request, schema, as_json=args.json))


def _options(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the fields of the wire's request that the options stand for, and the schema."""
    names = ("top_p", "top_k", "seed")
    options = {name: value for name in names if (value := getattr(args, name)) is not None}
    if args.json_schema is None:
        return options, None
    from apr.structured import read_schema, response_format

    schema = read_schema(args.json_schema)
    return options | response_format(schema), schema


def _prompt(argument: str | None) -> str | None:
    """Return what is asked: the argument, what is piped in, or both; None for a chat.

    Raises:
        AprError: there is neither, and nobody to chat with.
    """
    from apr.cli.stdin import piped_in

    piped = piped_in(wait_for_ever=argument is None)
    parts = [legible(part) for part in (argument, piped) if part and part.strip()]
    if parts:
        return "\n\n".join(parts)
    if argument is None and sys.stdin.isatty():
        return None
    raise AprError('what is the question? Give it as an argument: apr run demo "hello"')


async def _once(
    provider: Provider, request: Request, schema: dict[str, Any] | None, *, as_json: bool
) -> int:
    """Ask and print. Raise what an answer that is not of the schema is; it is printed all the same.

    Raises:
        AskingFailed: the model's server failed.
        NotOfTheSchema: the answer is not what was asked for.
    """
    printer = AnswerPrinter(sys.stdout, sys.stderr, quiet=as_json)
    try:
        answered = await ask(provider, request, printer)
    except ProviderError as error:
        raise AskingFailed(error) from None
    finally:
        printer.end()
        await provider.close()
    value, problem = None, None
    if schema is not None:
        from apr.structured import NotOfTheSchema, value_of

        try:
            value = value_of(answered.text, schema, cut=_is_cut(answered))
        except NotOfTheSchema as error:
            problem = error
    if as_json:
        print(msgspec.json.encode(_result(answered) | {"value": value}).decode())
    printer.aside(figures(answered))
    if problem is not None:
        raise problem
    return 0


def _is_cut(answered: Answered) -> bool:
    return answered.completion.stop_reason == "max_tokens"


def _result(answered: Answered) -> dict[str, object]:
    """Return what `--json` prints. Speeds are in tokens a second, null where nothing was done."""
    completion, speed = answered.completion, answered.speed
    return {
        "model": completion.model,
        "text": answered.text,
        "thinking": answered.thinking,
        "stop_reason": completion.stop_reason,
        "usage": completion.usage,
        "speed": {
            "prefill": per_second(speed.prefill_tokens, speed.prefill_s),
            "generation": per_second(speed.output_tokens, speed.output_s),
            "first_token_s": round(answered.first_token_s, 4),
            "total_s": round(answered.total_s, 4),
        },
    }
