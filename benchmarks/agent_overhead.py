"""What `apr code` itself costs: start-up, time per tool turn, memory.

Against a model server of no latency on loopback, beside a bare standard-library loop that does the
same work in the same run, turn about; and `apr code` once more in a home with 20 hooks, 50 skills
and 3 MCP servers, whose tools it knows from an earlier run. Medians of the runs with minimum and
maximum.

    python benchmarks/agent_overhead.py [--runs 5] [--turns 50] [--json]
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from configured import configure
from model_server import InstantModel, serving

HERE = Path(__file__).parent
TARGETS = {"start_s": 0.20, "turn_ms": 8.0, "peak_mb": 60.0, "request_kb": 8.0}
CONFIGURED_START_S = 0.30
LABELS = {
    "start_s": "process start to first request (s)",
    "turn_ms": "one tool turn (ms)",
    "peak_mb": "peak resident memory (MB)",
    "request_kb": "first request (kB)",
}


@dataclass(frozen=True)
class Run:
    """One run of one program."""

    start_s: float
    turn_ms: float
    peak_mb: float
    request_kb: float


def measure(command: list[str], project: Path, turns: int, home: Path | None = None) -> Run:
    """Run a program; `{url}` and `{home}` in its words stand for the server and its home.

    The home is a fresh one if none is given.
    """
    files = sorted(project.glob("*.py"))
    calls = [("Read", {"file_path": str(files[n % len(files)])}) for n in range(turns)]
    model = InstantModel(calls)
    fresh = tempfile.TemporaryDirectory() if home is None else contextlib.nullcontext(home)
    with serving(model) as url, fresh as used:
        words = [word.format(url=url, home=used) for word in command]
        environment = {"HOME": str(used), "PATH": os.environ["PATH"]}
        began = time.monotonic()
        process = subprocess.Popen(
            words,
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or len(model.asked) != turns + 1:
        raise SystemExit(
            f"{words[:4]} ended with {process.returncode} after {len(model.asked)} calls"
        )
    turn_times = [b - a for a, b in zip(model.answered, model.asked[1:], strict=False)]
    scale = 1024 if sys.platform == "linux" else 1024 * 1024
    return Run(
        start_s=model.asked[0] - began,
        turn_ms=statistics.median(turn_times) * 1000,
        peak_mb=usage.ru_maxrss / scale,
        request_kb=model.sizes[0] / 1000,
    )


def make_project(folder: Path) -> None:
    """Ten small files to read."""
    for number in range(10):
        lines = [f"def f{line}(x: int) -> int:\n    return x + {line}\n" for line in range(20)]
        (folder / f"module_{number}.py").write_text("\n".join(lines))


def main() -> None:
    """Measure both programs in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    apr = [
        *(str(Path(sys.executable).parent / "apr"), "code", "--print", "--model", "instant"),
        *("--emit-trace", "{home}/run.jsonl", "--base-url", "{url}", "read the files"),
    ]
    bare = [sys.executable, str(HERE / "bare_loop.py"), "{url}", "read the files"]
    runs: dict[str, list[Run]] = {"apr code": [], "bare loop": [], "configured": []}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
        project = Path(folder)
        make_project(project)
        configure(Path(home))
        measure(apr, project, 2)  # warm the file cache and the byte code
        measure(apr, project, 2, Path(home))  # ask the servers for their tools
        for _ in range(args.runs):
            runs["apr code"].append(measure(apr, project, args.turns))
            runs["bare loop"].append(measure(bare, project, args.turns))
            runs["configured"].append(measure(apr, project, args.turns, Path(home)))
    if args.json:
        print(json.dumps({name: [asdict(run) for run in some] for name, some in runs.items()}))
    else:
        print_table(runs)


def print_table(runs: dict[str, list[Run]]) -> None:
    """Print medians, spans, ratios and targets."""
    print(f"{'':36}" + "".join(f"{name:>24}" for name in runs) + f"{'ratio':>8}{'target':>9}")
    for figure, label in LABELS.items():
        cells, medians = [], []
        for some in runs.values():
            values = sorted(getattr(run, figure) for run in some)
            medians.append(statistics.median(values))
            cells.append(f"{medians[-1]:.3g} ({values[0]:.3g}-{values[-1]:.3g})")
        target = f"<= {TARGETS[figure]:g}" if figure in TARGETS else ""
        ratio = f"{medians[0] / medians[1]:.2f}"
        print(f"{label:36}" + "".join(f"{cell:>24}" for cell in cells) + f"{ratio:>8}{target:>9}")
    print(f"configured, process start to first request: target <= {CONFIGURED_START_S:.2f} s")


if __name__ == "__main__":
    main()
