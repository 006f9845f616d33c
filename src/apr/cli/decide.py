"""`apr decide`: what would this model have done next, at each point of recorded sessions?"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from apr.agent.prompt import system_prompt
from apr.agent.retold import histories
from apr.cli.model import add_model_options, provider_of
from apr.errors import AprError
from apr.providers.base import (
    Completion,
    ContextOverflow,
    Message,
    Provider,
    ProviderError,
    Request,
)
from apr.tools.registry import BUILTIN, specs
from ccpa.trace import AssistantTurn, Block, Record, TurnStop, Usage

EPILOG = """\
examples:
  apr decide --model demo < requests.jsonl > answers.jsonl

requests, a line for each session:
  {"id": "a", "records": [...records of a trace...], "decisions": [2, 4]}
    decisions: which of the records, counted from 0, are answers to be given anew (default: all)
standard output, a line for each decision, in order:
  {"id": "a", "decision": 2, "blocks": [...], "stop_reason": "tool_use", "usage": {...}}
  {"id": "a", "decision": 4, "overflow": "..."}      the history is longer than the model's context

No tool is run. Decisions of a session share their history, which a server with a prefix cache (our
engine is one) evaluates once. `ccpa measure --mode forced` is made from this.
exit codes: 0 done, 1 the model's server failed, 2 wrong usage or input, 3 no such model"""


class Asked(Struct, forbid_unknown_fields=True):
    """A session, and which of its answers are wanted anew."""

    id: str
    records: list[Record]
    decisions: list[int] | None = None


class Decided(Struct, omit_defaults=True, kw_only=True):
    """What the model would do, or why it cannot say. `malformed` is as in `Completion`."""

    id: str
    decision: int
    blocks: tuple[Block, ...] | None = None
    stop_reason: TurnStop | None = None
    usage: Usage | None = None
    malformed: dict[str, str] = {}
    overflow: str | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Say what a model would do next, for each decision of recorded sessions."
    parser.epilog = EPILOG
    parser.add_argument(
        "requests", nargs="?", type=Path, metavar="FILE", help="requests (default: standard input)"
    )
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Answer all requests; return the exit code."""
    provider, _ = provider_of(args)
    common = Request(
        system=system_prompt(),
        messages=(),
        tools=specs(BUILTIN),
        max_tokens=args.max_tokens,
        temperature=args.temperature,
    )
    name = "standard input" if args.requests is None else str(args.requests)
    try:
        file = sys.stdin.buffer if args.requests is None else args.requests.open("rb")
    except OSError as error:
        raise AprError(f"{name}: {error.strerror}") from None
    with file:
        return asyncio.run(_answer(provider, common, _requests(file, name)))


def _requests(stream: BinaryIO, name: str) -> Iterator[Asked]:
    decoder = msgspec.json.Decoder(Asked)
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            asked = decoder.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise AprError(f"{name}:{number}: {error}") from None
        answers = [i for i, r in enumerate(asked.records) if isinstance(r, AssistantTurn)]
        if asked.decisions is None:
            asked.decisions = answers
        if wrong := set(asked.decisions) - set(answers):
            raise AprError(f"{name}:{number}: decisions: record {min(wrong)} is no assistant_turn")
        yield asked


async def _answer(provider: Provider, common: Request, requests: Iterator[Asked]) -> int:
    try:
        for asked in requests:
            for index, messages in histories(asked.records, set(asked.decisions or ())):
                decided = await _decide(provider, common, messages, asked.id, index)
                sys.stdout.buffer.write(msgspec.json.encode(decided) + b"\n")
                sys.stdout.buffer.flush()
    except ProviderError as error:
        print(f"apr: {error}", file=sys.stderr)
        return 1
    finally:
        await provider.close()
    return 0


async def _decide(
    provider: Provider, common: Request, messages: tuple[Message, ...], id_: str, index: int
) -> Decided:
    request = msgspec.structs.replace(common, messages=messages)
    try:
        async for event in provider.stream(request):
            if isinstance(event, Completion):
                return Decided(
                    id=id_,
                    decision=index,
                    blocks=event.blocks,
                    stop_reason=event.stop_reason,
                    usage=event.usage,
                    malformed=event.malformed,
                )
    except ContextOverflow as error:
        return Decided(id=id_, decision=index, overflow=str(error))
    raise ProviderError("the model's server ended its answer without completing it")
