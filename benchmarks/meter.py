"""How fast the meter is: `python benchmarks/meter.py [validate] [diff] [corpus]`.

Generates its own traces from a seed, measures each command as a process of its own (user + system
CPU seconds, and peak resident memory), and fits the exponent of cost over records, start-up taken
off: 1.0 is linear.
"""

import argparse
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ccpa.trace import (
    AssistantTurn,
    HookEvent,
    Record,
    SessionEnd,
    SessionStart,
    SideEffects,
    TextBlock,
    ToolResult,
    ToolUseBlock,
    Usage,
    UserPrompt,
    decode,
    encode,
)

SIZES = (25_000, 50_000, 100_000, 200_000)
PAIRS = (500, 1_000, 2_000)
RECORDS_OF_A_PAIR = 10  # of 850 bytes, twice: 2,000 pairs are 33 MB
LINKED = 10  # as many times as large is the corpus that shows what a second process is worth
REPEATS = 3
DRIFT = 0.01
WORDS = ("def", "return", "import", "class", "self", "value", "path", "error", "result", "config")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one process used."""

    cpu_s: float
    wall_s: float
    peak_mb: float
    exit_status: int


def generate_trace(path: Path, records: int, seed: int) -> None:
    """Write a valid trace of about so many records of 850 bytes, the same for the same seed.

    A long coding session: searches, reads, edits and commands, with hooks before some of them.
    """
    chance = random.Random(seed)
    with path.open("wb") as file:
        for record in _session(chance, records):
            file.write(encode(record))


def _session(chance: random.Random, records: int) -> Iterator[Record]:
    digest = f"{chance.getrandbits(256):064x}"
    yield SessionStart(
        v=1,
        session_id="01999999-0000-7000-8000-000000000000",
        ts="2026-01-01T00:00:00Z",
        actor="apr-code",
        model="benchmark",
        cwd_sha256=digest,
        schema_version=3,
    )
    yield UserPrompt(v=1, turn=0, text=_text(chance, 400))
    turn, written = 1, 2
    while written < records - 2:
        use = _tool_use(chance, written)
        yield AssistantTurn(
            v=1,
            turn=turn,
            blocks=[TextBlock(_text(chance, 120)), use],
            stop_reason="tool_use",
            usage=Usage(input_tokens=chance.randrange(50_000), output_tokens=chance.randrange(900)),
            latency_ms=chance.randrange(9000),
        )
        if written % 5 == 0:
            yield HookEvent(
                v=1, turn=turn, event="PreToolUse", decision="allow", exit_code=0, matcher=use.name
            )
            written += 1
        yield ToolResult(
            v=1,
            turn=turn + 1,
            tool_use_id=use.id,
            ok=True,
            content=_text(chance, 1580),
            side_effects=SideEffects(files_read=[f"src/module_{written % 97}.py"]),
            duration_ms=chance.randrange(4000),
        )
        turn, written = turn + 2, written + 2
    yield AssistantTurn(v=1, turn=turn, blocks=[TextBlock("Done.")], stop_reason="end_turn")
    yield SessionEnd(v=1, turn=turn, stop_reason="end_turn", elapsed_ms=1, cwd_sha256_after=digest)


def drifted(path: Path, target: Path, seed: int) -> None:
    """Write the trace of another run, with its own ids, in which one tool use in a hundred drifts.

    Of those a third asks for something else, a third is left out with its result, and a third is
    written another way that means the same.
    """
    chance = random.Random(seed)
    left_out: set[str] = set()
    with path.open("rb") as lines, target.open("wb") as file:
        for record in map(decode, lines):
            if isinstance(record, AssistantTurn) and chance.random() < DRIFT:
                use = record.blocks[-1]
                if isinstance(use, ToolUseBlock):
                    _change(chance.randrange(3), use, left_out)
                if isinstance(use, ToolUseBlock) and use.id in left_out:
                    continue
            if isinstance(record, ToolResult) and record.tool_use_id in left_out:
                continue
            _rename(record)
            file.write(encode(record))


def _rename(record: Record) -> None:
    """Give the record the ids of another run: the file is equal in meaning, not in bytes."""
    if isinstance(record, SessionStart):
        record.session_id = record.session_id.replace("0199", "019a")
    elif isinstance(record, ToolResult):
        record.tool_use_id = record.tool_use_id.replace("toolu", "call")
    elif isinstance(record, AssistantTurn):
        for block in record.blocks:
            if isinstance(block, ToolUseBlock):
                block.id = block.id.replace("toolu", "call")


def _change(how: int, use: ToolUseBlock, left_out: set[str]) -> None:
    if how == 0:
        left_out.add(use.id)
    elif how == 1:
        use.input |= {"file_path": "/home/ann/project/README.md", "pattern": "x", "command": "ls"}
    elif "command" in use.input:
        use.input["command"] = f" {use.input['command']} ;"
    elif "file_path" in use.input:
        use.input["file_path"] = use.input["file_path"].replace("/src/", "/src/./")


def _tool_use(chance: random.Random, number: int) -> ToolUseBlock:
    path = f"/home/ann/project/src/module_{chance.randrange(97)}.py"
    name, value = chance.choice(
        (
            ("Read", {"file_path": path, "offset": chance.randrange(500), "limit": 200}),
            ("Grep", {"pattern": _text(chance, 20), "path": "/home/ann/project", "-n": True}),
            ("Edit", {"file_path": path, "old_string": _text(chance, 90), "new_string": "pass"}),
            ("Bash", {"command": f'python -m pytest -k "{_text(chance, 20)}"', "timeout": 120000}),
        )
    )
    use_id = f"toolu_{number:012x}{chance.getrandbits(48):012x}"
    return ToolUseBlock(id=use_id, name=name, input=value)


def _text(chance: random.Random, size: int) -> str:
    """Return text like source code: words, quotes, newlines, some of it beyond ASCII."""
    words = chance.choices(WORDS, k=size // 7)
    for index in range(7, len(words), 8):
        words[index] = chance.choice(('"quoted"', "naïve →", "x = 1\n", "\\n", "\t# note\n"))
    return " ".join(words)


def measure(command: Sequence[str]) -> Cost:
    """Run a command with its output thrown away, and return what it used.

    Settings of Python's in the environment (as to write no compiled modules) do not reach it.
    """
    start = time.perf_counter()
    environment = {name: v for name, v in os.environ.items() if not name.startswith("PYTHON")}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss: bytes there, kilobytes else
    return Cost(
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=time.perf_counter() - start,
        peak_mb=usage.ru_maxrss / unit,
        exit_status=process.returncode,
    )


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of log cost over log size, by least squares."""
    fit = statistics.linear_regression([math.log(x) for x in sizes], [math.log(y) for y in costs])
    return fit.slope


def ccpa(*arguments: str | Path) -> list[str]:
    """Return the command line of `ccpa` in this interpreter."""
    return [sys.executable, "-m", "ccpa.cli.main", *map(str, arguments)]


def benchmark_validate(folder: Path, seed: int) -> dict[str, Any]:
    """Measure `ccpa validate` over growing traces as apr writes them, and over one reformatted."""
    trace = folder / "own.ccpa-trace.jsonl"
    generate_trace(trace, 5, seed)
    rows = [_validate_row(trace, 5, "start-up, hardly a record")]
    for records in SIZES:
        generate_trace(trace, records, seed)
        rows.append(_validate_row(trace, records, "as apr writes it"))
    foreign = folder / "foreign.ccpa-trace.jsonl"
    _rewrite_with_json(trace, foreign)
    fitted = _exponent(rows, "records")
    rows.append(_validate_row(foreign, SIZES[-1], "sorted, spaced, ASCII"))
    return {"rows": rows, "exponent": fitted}


def benchmark_diff(folder: Path, seed: int) -> dict[str, Any]:
    """Measure `ccpa diff` of growing traces: with themselves, and with one that drifts a little."""
    rows = []
    teacher, student = folder / "teacher.jsonl", folder / "student.jsonl"
    for records in (5, *SIZES):  # the first is start-up, with hardly a record
        generate_trace(teacher, records, seed)
        drifted(teacher, student, seed)
        megabytes = (teacher.stat().st_size + student.stat().st_size) / 1e6
        for form, other in (("with itself", teacher), ("1 % drift", student)):
            command = ccpa("diff", teacher, other)
            rows.append({"form": form, "records": records} | _cost_row(command, megabytes))
    fitted = _exponent([row for row in rows if row["form"] == "1 % drift"], "records")
    return {"rows": rows, "exponent": fitted}


def benchmark_corpus(folder: Path, seed: int) -> dict[str, Any]:
    """Measure `ccpa corpus` over growing corpora of small pairs, in one process and in two.

    The largest holds ten links to each fixture of the one before. Compare the wall times of its two
    rows on a machine with nothing else to do.
    """
    rows = []
    for pairs in (1, *PAIRS):  # the first is start-up, with hardly a pair
        for number in range(pairs):
            fixture = folder / f"fixture-{number:05}"
            if fixture.exists():
                continue
            fixture.mkdir()
            teacher = fixture / "teacher.ccpa-trace.jsonl"
            generate_trace(teacher, RECORDS_OF_A_PAIR, seed + number)
            drifted(teacher, fixture / "student.ccpa-trace.jsonl", seed + number)
        rows += _corpus_rows(folder, pairs)
    for fixture in list(folder.iterdir()):
        for number in range(1, LINKED):
            shutil.copytree(fixture, f"{fixture}-{number}", copy_function=os.link)
    rows += _corpus_rows(folder, LINKED * PAIRS[-1])
    fitted = _exponent([row for row in rows if row["form"] == "1 process"], "pairs")
    return {"rows": rows, "exponent": fitted}


def _corpus_rows(folder: Path, pairs: int) -> list[dict[str, Any]]:
    megabytes = sum(file.stat().st_size for file in folder.glob("*/*")) / 1e6
    rows = []
    for jobs in (1, 2):
        command = ccpa("corpus", folder, "--jobs", str(jobs), "--mean-min", "0")
        row = {"form": f"{jobs} process{'es' * (jobs > 1)}", "pairs": pairs}
        rows.append(row | _cost_row(command, megabytes))
    return rows


def _cost_row(command: list[str], megabytes: float) -> dict[str, Any]:
    if megabytes < 1:
        measure(command)  # the first run compiles the modules
    costs = [measure(command) for _ in range(REPEATS)]
    if any(cost.exit_status not in (0, 1) for cost in costs):
        raise SystemExit(f"{' '.join(command)} failed")
    cpu = [cost.cpu_s for cost in costs]
    return {
        "mb": round(megabytes, 1),
        "cpu_s": round(statistics.median(cpu), 3),
        "cpu_min_max": [round(min(cpu), 3), round(max(cpu), 3)],
        "wall_s": round(statistics.median(cost.wall_s for cost in costs), 3),
        "peak_mb": round(max(cost.peak_mb for cost in costs), 1),
    }


def _exponent(rows: list[dict[str, Any]], size: str) -> float:
    start_up, *growing = rows
    costs = [row["cpu_s"] - start_up["cpu_s"] for row in growing]
    return round(exponent([row[size] for row in growing], costs), 3)


def _validate_row(path: Path, records: int, form: str) -> dict[str, Any]:
    costs = [measure(ccpa("validate", path)) for _ in range(REPEATS)]
    if any(cost.exit_status for cost in costs):
        raise SystemExit(f"{path} was found invalid")
    cpu = [cost.cpu_s for cost in costs]
    megabytes = path.stat().st_size / 1e6
    return {
        "form": form,
        "records": records,
        "mb": round(megabytes, 1),
        "cpu_s": round(statistics.median(cpu), 3),
        "cpu_min_max": [round(min(cpu), 3), round(max(cpu), 3)],
        "mb_per_cpu_s": round(megabytes / statistics.median(cpu), 1),
        "peak_mb": round(max(cost.peak_mb for cost in costs), 1),
    }


def _rewrite_with_json(source: Path, target: Path) -> None:
    """Write the same records another way: keys sorted, spaces after `:` and `,`, ASCII only."""
    with source.open("rb") as lines, target.open("w") as file:
        file.writelines(json.dumps(json.loads(line), sort_keys=True) + "\n" for line in lines)


PARTS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "validate": benchmark_validate,
    "diff": benchmark_diff,
    "corpus": benchmark_corpus,
}


def main() -> None:
    """Run the parts that were asked for, all by default, and print what they measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    results = {}
    for part in args.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="ccpa-bench-") as folder:
            results[part] = PARTS[part](Path(folder), args.seed)
        if not args.json:
            _print(part, results[part])
    if args.json:
        print(json.dumps(results, indent=2))


def _print(part: str, result: dict[str, Any]) -> None:
    print(f"{part}: cost grows with records^{result['exponent']}")
    rows = result["rows"]
    print("  ".join(f"{name:>24}" if name == "form" else f"{name:>14}" for name in rows[0]))
    for row in rows:
        cells = ("-".join(map(str, v)) if isinstance(v, list) else str(v) for v in row.values())
        print("  ".join(f"{cell:>24}" if i == 0 else f"{cell:>14}" for i, cell in enumerate(cells)))


if __name__ == "__main__":
    main()
