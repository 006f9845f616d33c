"""`apr verify`: does the engine compute what transformers computes with the same weights?"""

import argparse
import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from apr.cli.options import positive
from apr.errors import AprError
from apr.legible import legible
from apr.models.header import ModelInfo, check
from apr.models.resolve import choose
from apr.providers.base import ProviderError
from apr.ui.terminal import coloured, plain

if TYPE_CHECKING:  # with numpy, which comes with the extra `reference`
    from apr.verify.compare import Agreement, Position
    from apr.verify.reference import Routing

NEEDED = ("numpy", "torch", "transformers")
ERASE = "\r\x1b[K"

EPILOG = """\
examples:
  apr verify ./model-f16.gguf --reference ~/models/Qwen3-0.6B
  apr verify ./model-q4.gguf --reference ~/models/Qwen3-0.6B --prompts prompts.txt --json
  apr verify ./moe-f16.gguf --reference ~/models/moe --experts

The reference is a directory of safetensors with its config.json, computed at 32 bits. Prompts are
lines of text, or of JSON arrays of token ids; without a file they are token ids drawn at random.
An F32 or F16 model must agree: a cosine of at least 0.9999 at every position, and no token further
off than a tenth of the spread. Other quantisations lose by design, and are only reported.
Needs: pip install 'apr-code[reference]'
exit codes: 0 it agrees, or nothing is demanded of it; 1 it does not; 2 wrong usage or input;
3 no such model."""


class Report(Struct, frozen=True, kw_only=True):
    """What `--json` prints."""

    model: str
    quantisation: str
    reference: str
    gated: bool
    """Whether the quantisation is one that must agree."""
    passed: bool
    """False only where it must and does not."""
    agreement: "Agreement"
    prompts: list[list[int]]
    positions: "list[Position]"
    experts: "list[Routing] | None"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    parser.description = "Compare the engine with transformers on the same weights."
    parser.epilog = EPILOG
    add("model", help="a .gguf file, or a name (see: apr models)")
    add("--reference", metavar="HF_DIR", type=Path, required=True, help="the weights' directory")
    add("--prompts", metavar="FILE", type=Path, help="a prompt on each line")
    add("--positions", metavar="N", type=positive, default=16, help="of each prompt (default 16)")
    add("--experts", action="store_true", help="also say how the reference's routers choose")
    add("--json", action="store_true", help="print a JSON object, every position in it")


def run(args: argparse.Namespace) -> int:
    """Compare and print; return the exit code.

    Raises:
        AprError: what is told to the user.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise AprError(
            f"apr verify needs {' and '.join(missing)}.\n"
            "Install what it needs with: pip install 'apr-code[reference]'"
        )
    report = _compare(args, check(choose(args.model, os.environ).path))
    if args.json:
        print(msgspec.json.encode(report).decode())
    else:
        _show(report)
    return 0 if report.passed else 1


def _compare(args: argparse.Namespace, info: ModelInfo) -> Report:
    from apr.answer import AskingFailed
    from apr.verify.compare import EXACT, passes, summary
    from apr.verify.prompts import read
    from apr.verify.reference import Reference
    from apr.verify.run import verify

    lines = read(args.prompts) if args.prompts else None
    reference = Reference(args.reference.expanduser())
    try:
        asked, positions = asyncio.run(
            verify(info, reference, lines=lines, positions=args.positions, step=_progress)
        )
    except ProviderError as error:
        raise AskingFailed(error) from None
    finally:
        _clear()
    agreement = summary(positions)
    gated = info.quantisation in EXACT
    return Report(
        model=legible(str(info.path)),
        quantisation=info.quantisation,
        reference=legible(str(args.reference)),
        gated=gated,
        passed=not gated or passes(agreement),
        agreement=agreement,
        prompts=asked,
        positions=positions,
        experts=reference.routing(asked) if args.experts else None,
    )


def _show(report: Report) -> None:
    print(f"{'prompt':>6}  {'tokens':>6}  {'compared':>8}  {'worst cosine':>12}  {'mean':>12}")
    for number, ids in enumerate(report.prompts):
        cosines = [p.cosine for p in report.positions if p.prompt == number]
        mean = sum(cosines) / len(cosines)
        print(
            f"{number + 1:>6}  {len(ids):>6,}  {len(cosines):>8,}  {min(cosines):>12.8f}  "
            f"{mean:>12.8f}"
        )
    all_ = report.agreement
    worst = min(report.positions, key=lambda position: position.cosine)
    print(
        f"\ncosine       worst {all_.worst_cosine:.8f} (prompt {worst.prompt + 1}, after "
        f"{worst.position:,} tokens), mean {all_.mean_cosine:.8f}\n"
        f"furthest     {all_.worst_furthest:.4f} spreads off is the token that is furthest off\n"
        f"divergence   worst {all_.worst_divergence:.3g} nats, mean {all_.mean_divergence:.3g}\n"
        f"first token  the same at {all_.same_first:.2%} of {all_.positions:,} positions\n"
        f"{_verdict(report)}"
    )
    for routing in report.experts or ():
        print(_routing(routing))


def _verdict(report: Report) -> str:
    name = plain(report.quantisation)
    if not report.gated:
        return f"{name}: reported, not judged"
    return f"{name}: {'agrees' if report.passed else 'DOES NOT AGREE'}"


def _routing(routing: "Routing") -> str:
    """Return a line: how even a router's choices are, and which experts it likes best."""
    order = sorted(range(routing.experts), key=lambda expert: -routing.load[expert])
    top = ", ".join(f"{expert} {routing.load[expert]:.1%}" for expert in order[: routing.used])
    idle = sum(load == 0 for load in routing.load)
    return (
        f"{plain(routing.layer)}: entropy {routing.entropy:.3f} of 1; {routing.used} of "
        f"{routing.experts} experts a token, the busiest: {top}; {idle} never"
    )


def _progress(done: int, total: int) -> None:
    if coloured(sys.stderr):
        print(f"{ERASE}{done:,} of {total:,} positions", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if coloured(sys.stderr):
        print(ERASE, end="", file=sys.stderr, flush=True)
