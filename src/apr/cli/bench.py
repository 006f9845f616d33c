"""`apr bench`: how fast a model is here, and what apr adds to llama.cpp."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from apr.bench.measure import (
    Figure,
    Measured,
    Sample,
    figure,
    measure,
    output_speed,
    over_bare,
    prefill_speed,
)
from apr.cli.options import positive
from apr.legible import legible
from apr.models.header import ModelInfo, check
from apr.models.resolve import choose
from apr.providers.base import ProviderError
from apr.ui.amounts import size
from apr.ui.terminal import plain

EPILOG = """\
examples:
  apr bench demo
  apr bench qwen3-coder --prompt-tokens 4096 --repetitions 3
  apr bench --json ./model.gguf | jq .overhead

Each prompt goes through apr (as `apr code` asks: engine process, HTTP, parsing) and then, as the
same tokens, through bare llama.cpp: a process without apr, with the library's own settings but for
the number of threads, which is apr's.
  over its engine   what apr's way adds to the engine's own account of the same answer
  over bare         how much longer apr takes than bare llama.cpp for the same tokens
exit codes: 0 done, 1 the model failed, 2 wrong usage or input, 3 no such model."""


WIDTH = 34
"""Of a column."""


class Side(Struct, frozen=True, kw_only=True):
    """One way to the model: tokens a second, seconds, bytes."""

    prefill: Figure
    generation: Figure
    first_token_s: Figure
    total_s: Figure
    memory: int


class Report(Struct, frozen=True, kw_only=True):
    """What `--json` prints. Overheads are parts: 0.01 is 1 %."""

    model: str
    size: int
    quantisation: str
    prompt_tokens: int
    output_tokens: int
    repetitions: int
    apr: Side
    bare: Side | None
    overhead: Figure
    """Over the engine's own account of the same answers."""
    over_bare: Figure | None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    parser.description = "Measure how fast a model is here, and what apr adds to llama.cpp."
    parser.epilog = EPILOG
    add("model", help="demo, a .gguf file, or a name (see: apr models)")
    add("--prompt-tokens", metavar="N", type=positive, default=512, help="about (default 512)")
    add("--output-tokens", metavar="N", type=positive, default=128, help="of each answer (128)")
    add("--repetitions", metavar="N", type=positive, default=5, help="after a warm-up (default 5)")
    add("--json", action="store_true", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure and print; return the exit code.

    Raises:
        AprError: there is no such model, or it cannot be loaded.
    """
    from apr.answer import AskingFailed

    info = check(choose(args.model, os.environ).path)
    with _progress(2 * (args.repetitions + 1)) as step:
        try:
            measured = asyncio.run(
                measure(
                    info,
                    prompt_tokens=args.prompt_tokens,
                    output_tokens=args.output_tokens,
                    repetitions=args.repetitions,
                    step=step,
                )
            )
        except ProviderError as error:
            raise AskingFailed(error) from None
    if not measured.bare:
        print("apr: no memory to load the model twice: llama.cpp without apr was not measured",
              file=sys.stderr)  # fmt: skip
    report = _report(info, measured)
    if args.json:
        print(msgspec.json.encode(report).decode())
    else:
        _show(report)
    return 0


def _report(info: ModelInfo, measured: Measured) -> Report:
    engine = measured.apr[0].engine
    return Report(
        model=legible(info.path.stem),
        size=info.size,
        quantisation=info.quantisation,
        prompt_tokens=engine.prefill_tokens,
        output_tokens=engine.output_tokens,
        repetitions=len(measured.apr),
        apr=_side(measured.apr, measured.apr_memory),
        bare=_side(measured.bare, measured.bare_memory or 0) if measured.bare else None,
        overhead=figure([sample.overhead for sample in measured.apr]),
        over_bare=over_bare(measured),
    )


def _side(samples: list[Sample], memory: int) -> Side:
    return Side(
        prefill=figure([prefill_speed(sample) for sample in samples]),
        generation=figure([output_speed(sample) for sample in samples]),
        first_token_s=figure([sample.first_token_s for sample in samples]),
        total_s=figure([sample.total_s for sample in samples]),
        memory=memory,
    )


def _show(report: Report) -> None:
    print(
        f"{plain(report.model)}, {size(report.size)} ({plain(report.quantisation)}): "
        f"{report.prompt_tokens:,} tokens of prompt, {report.output_tokens:,} of answer, "
        f"median of {report.repetitions} (least to greatest)"
    )
    sides = [side for side in (report.apr, report.bare) if side is not None]
    print(f"{'':24}{'apr':>{WIDTH}}{'llama.cpp' if report.bare else '':>{WIDTH}}")
    for label, name, unit, digits in (
        ("prefill", "prefill", "tokens/s", 1),
        ("generation", "generation", "tokens/s", 1),
        ("first token", "first_token_s", "s", 3),
        ("whole answer", "total_s", "s", 3),
    ):
        cells = "".join(f"{_cell(getattr(side, name), digits):>{WIDTH}}" for side in sides)
        print(f"{f'{label} ({unit})':24}{cells}")
    print(f"{'peak memory':24}" + "".join(f"{size(side.memory):>{WIDTH}}" for side in sides))
    print(f"{'over its engine':24}{_percent(report.overhead):>{WIDTH}}")
    if report.over_bare is not None:
        print(f"{'over bare llama.cpp':24}{_percent(report.over_bare):>{WIDTH}}")


def _cell(value: Figure, digits: int) -> str:
    return f"{value.median:,.{digits}f} ({value.least:,.{digits}f} to {value.greatest:,.{digits}f})"


def _percent(value: Figure) -> str:
    return f"{value.median:+.1%} ({value.least:+.1%} to {value.greatest:+.1%})"


@contextlib.contextmanager
def _progress(steps: int) -> Iterator[Callable[[str], None]]:
    """Show on a terminal how far it is; yield what is told each step."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task("loading", total=steps)
        begun = False

        def step(text: str) -> None:
            nonlocal begun
            progress.update(task, description=text, advance=1 if begun else 0)
            begun = True

        yield step
