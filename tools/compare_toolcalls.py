#!/usr/bin/env python3
"""Compare how parsers read the tool calls of the corpus: how many are lost, altered, invented.

The corpus is tests/apr/providers/toolcalls/corpus; docs/tool-calls.md says what the figures mean.
Without options this project's parser is judged alone. The others are not part of this project: give
the folder where a wheel of vllm or sglang was unpacked, or none where it is installed. For
llama.cpp, the engine itself, the folder holds models' chat templates, named FAMILY.jinja.
"""

import argparse
import contextlib
import io
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from toolcall_corpus.cases import Group, load_groups, load_tools
from toolcall_corpus.engine import llama_cpp
from toolcall_corpus.judge import Verdict, judge
from toolcall_corpus.parsers import Contestant, NotThereError, ours, sglang, vllm

OTHERS = {"vllm": vllm, "sglang": sglang, "llama.cpp": llama_cpp}
EXAMPLES = """examples:
  python tools/compare_toolcalls.py
  python tools/compare_toolcalls.py --with vllm=/tmp/vllm --with sglang=/tmp/sglang --cases
  python tools/compare_toolcalls.py --with vllm --json figures.json
"""


class Finding(msgspec.Struct, frozen=True):
    """What a parser made of a case; `error` if it raised one."""

    parser: str
    version: str
    family: str
    case: str
    verdict: Verdict
    error: str | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--with", dest="others", action="append", default=[], metavar="NAME[=FOLDER]",
        help=f"compare with one of: {', '.join(OTHERS)}",
    )  # fmt: skip
    parser.add_argument("--cases", action="store_true", help="name every case that is not right")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every verdict to FILE")
    args = parser.parse_args(argv)
    tools = load_tools()
    contestants = [ours(tools)]
    for other in args.others:
        name, _, folder = other.partition("=")
        if name not in OTHERS:
            parser.error(f"no parser is called {name!r}; there are: {', '.join(OTHERS)}")
        if folder and not Path(folder).is_dir():
            parser.error(f"there is no folder {folder}")
        try:
            contestants.append(OTHERS[name](tools, Path(folder) if folder else None))
        except NotThereError as error:
            print(f"compare_toolcalls: {error}", file=sys.stderr)
            return 2
    groups = load_groups()
    findings = [each for one in contestants for each in _examine(one, groups)]
    print(_table(contestants, findings))
    if args.cases:
        print("\n".join(["", *(_line(each) for each in findings if each.verdict != "right")]))
    if args.json:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(findings)) + b"\n")
    return int(any(each.parser == "apr" and each.verdict != "right" for each in findings))


def _examine(contestant: Contestant, groups: Sequence[Group]) -> list[Finding]:
    """Put every case to a parser. One that raises has found no calls."""
    tools = load_tools()
    findings = []
    for group in groups:
        for case in group.cases:
            error = None
            try:
                with _silence():
                    got = contestant.parse(case)
            except Exception as caught:  # another project's code may raise anything
                got, error = [], f"{type(caught).__name__}: {caught}"
            if got is None:
                continue
            verdict = judge(case, got, tools).verdict
            findings.append(
                Finding(contestant.name, contestant.version, group.name, case.id, verdict, error)
            )
    return findings


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep parsers from reporting each failure, which the table counts."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _table(contestants: Sequence[Contestant], findings: Sequence[Finding]) -> str:
    """Return the figures as a Markdown table: a line for each family, a column for each parser.

    A cell says how many cases are lost, altered and invented, and of how many where not all were
    run. The last line counts the cases in which the parser raised an error, whatever the verdict.
    """
    families = list(dict.fromkeys(each.family for each in findings))
    lines = [
        f"| family | cases | {' | '.join(f'{one.name} {one.version}' for one in contestants)} |",
        "|---|---:|" + "---|" * len(contestants),
    ]
    for label, members in [*((name, [name]) for name in families), ("**all**", families)]:
        among = [each for each in findings if each.family in members]
        every = len({each.case for each in among})
        cells = [
            _cell([each for each in among if each.parser == one.name], every) for one in contestants
        ]
        lines.append(f"| {label} | {every} | {' | '.join(cells)} |")
    errors = Counter(each.parser for each in findings if each.error)
    cells = [str(errors[one.name]) for one in contestants]
    return "\n".join([*lines, f"| errors | | {' | '.join(cells)} |"])


def _cell(findings: Sequence[Finding], cases: int) -> str:
    if not findings:
        return "not run"
    verdicts = Counter(finding.verdict for finding in findings)
    figures = " / ".join(str(verdicts[column]) for column in ("lost", "altered", "invented"))
    return figures if len(findings) == cases else f"{figures} of {len(findings)}"


def _line(finding: Finding) -> str:
    error = f" ({finding.error})" if finding.error else ""
    return f"{finding.parser}: {finding.case}: {finding.verdict}{error}"


if __name__ == "__main__":
    sys.exit(main())
