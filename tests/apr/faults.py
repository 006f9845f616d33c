"""Faults x turns: what goes wrong with a model's server or a model, and where in a task.

The task has three turns: a file is read, the file is edited, the answer is said. Each cell is a run
of `apr code` as a process, against the scripted server, in a project of its own. The table in
docs/reliability.md is made of the results:

    python -m tests.apr.faults docs/reliability.md
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ccpa.scripted.chaos import Chaos
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import AssistantTurn, Record, SessionEnd, ToolResult, ToolUseBlock
from tests.apr.program import calls, problems, records, says, start_apr

BEFORE = "def add(a, b):\n    return a - b\n"
AFTER = "def add(a, b):\n    return a + b\n"
_FIX = {"file_path": "calc.py", "old_string": "a - b", "new_string": "a + b"}
TASK = (
    calls(("Read", {"file_path": "calc.py"}), first=101),
    calls(("Edit", _FIX), first=102),
    says("Fixed: add now adds, as its name says."),
)
Where = Literal["first", "middle", "last"]
TURNS: tuple[Where, ...] = ("first", "middle", "last")
AT_ONCE = 8
"""Cells that run at the same time: most of their time is spent waiting for the next attempt."""

_SAME = ("Read", {"file_path": "calc.py", "limit": 1})
_WAIT = calls(("Bash", {"command": "touch here; until [ -e go ]; do sleep 0.02; done"}), first=300)


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that goes wrong, and what is to come of it."""

    name: str
    ends: str | None = None
    """What the error says that ends the run; None where the run recovers."""
    retries: int = 0
    """How often the request is made again."""
    chaos: Callable[[int], list[Chaos]] = lambda _turn: []
    """What the server does wrong, for the number of the turn."""
    instead: tuple[AssistantTurn, ...] = ()
    """What the model says before it says the turn."""
    words: tuple[str, ...] = ()
    """Options of the run."""
    gone: bool = False
    """Whether nothing listens from that turn on."""


def _once(**fault: object) -> Callable[[int], list[Chaos]]:
    return lambda turn: [Chaos(on_request=turn, **fault)]  # type: ignore[arg-type]


FAULTS = (
    Fault(name="429, Retry-After: 0", retries=1, chaos=_once(status=429, retry_after_s=0)),
    Fault(name="429 without Retry-After", retries=1, chaos=_once(status=429)),
    Fault(
        name="429, Retry-After: 3600",
        ends="cannot answer now (429",
        chaos=_once(status=429, retry_after_s=3600),
    ),
    Fault(name="500", retries=1, chaos=_once(status=500)),
    Fault(
        name="500 twice, then 503",
        retries=3,
        chaos=lambda turn: [
            Chaos(on_request=turn + n, status=status) for n, status in enumerate((500, 500, 503))
        ],
    ),
    Fault(name="connection closed before the answer", retries=1, chaos=_once(drop_after_events=0)),
    Fault(
        name="connection closed in the middle of a call or text",
        retries=1,
        chaos=_once(drop_after_events=3),
    ),
    Fault(name="an event that is no JSON", retries=1, chaos=_once(malformed_sse=True)),
    Fault(name="an answer that ends in the middle", retries=1, chaos=_once(truncated_json=True)),
    Fault(name="slow to begin (0.5 s)", chaos=_once(latency_s=0.5)),
    Fault(name="slow all along (20 ms an event)", chaos=_once(drip_s=0.02)),
    Fault(
        name="silent, with --timeout 8s",
        ends="timeout: ",
        chaos=_once(latency_s=12),
        words=("--timeout", "8s"),
    ),
    Fault(name="an error that no repetition mends (400)", ends="(400", chaos=_once(status=400)),
    Fault(name="nothing listens", ends="connection refused", gone=True),
    Fault(name="an empty answer", instead=(says(""),)),
    Fault(name="only empty answers", ends="answered with nothing", instead=(says(""),) * 3),
    Fault(name="endless repetition", ends="repeats itself", instead=(says("and so on, " * 4000),)),
    Fault(
        name="the same call three times",
        instead=tuple(calls(_SAME, first=200 + n) for n in range(3)),
    ),
    Fault(
        name="the same call again and again",
        ends="going in circles",
        instead=tuple(calls(_SAME, first=200 + n) for n in range(6)),
    ),
)


class Cell(Struct, frozen=True, kw_only=True):
    """What came of a fault at a turn."""

    exit_code: int
    records: list[Record]
    problems: list[str]
    file: str
    stdout: str
    stderr: str
    requests: int

    @property
    def end(self) -> SessionEnd:
        """The trace's last record."""
        end = self.records[-1]
        assert isinstance(end, SessionEnd)
        return end

    @property
    def retries(self) -> int:
        """How often a request was made again."""
        return self.stderr.count("Asking again in ")

    @property
    def turns(self) -> list[AssistantTurn]:
        """What the model said."""
        return [record for record in self.records if isinstance(record, AssistantTurn)]

    @property
    def calls(self) -> list[str]:
        """The ids of what the model asked for."""
        return [b.id for turn in self.turns for b in turn.blocks if isinstance(b, ToolUseBlock)]

    @property
    def results(self) -> dict[str, list[bool]]:
        """By call: whether it went well, for each of its results."""
        found: dict[str, list[bool]] = {}
        for record in self.records:
            if isinstance(record, ToolResult):
                found.setdefault(record.tool_use_id, []).append(record.ok)
        return found


def run(fault: Fault, where: Where, folder: Path) -> Cell:
    """Run a cell in a folder of its own."""
    at = TURNS.index(where)
    project, home, trace = folder / "project", folder / "home", folder / "trace.jsonl"
    project.mkdir(parents=True)
    home.mkdir()
    (project / "calc.py").write_text(BEFORE)
    wait = (_WAIT,) if fault.gone and at else ()
    model = ScriptedModel(
        [*TASK[:at], *wait, *fault.instead, *TASK[at:]], chaos=fault.chaos(at + 1)
    )
    with serving(model) as url:
        options = ("--emit-trace", str(trace), "--permission-mode", "acceptEdits", *fault.words)
        words = ("code", "--base-url", url, *options, "--allowedTools", "Bash", "fix add")
        process = None if fault.gone and at == 0 else start_apr(*words, home=home, cwd=project)
        if process is not None and fault.gone:
            _appears(project / "here", process)
        elif process is not None:
            process.wait(timeout=60)
    process = process or start_apr(*words, home=home, cwd=project)  # now nothing listens
    (project / "go").touch()
    out, err = process.communicate(timeout=60)
    return Cell(
        exit_code=process.returncode,
        records=records(trace),
        problems=[str(problem) for problem in problems(trace)],
        file=(project / "calc.py").read_text(),
        stdout=out,
        stderr=err,
        requests=len(model.requests),
    )


def run_all(folder: Path) -> dict[tuple[str, Where], Cell]:
    """Run every cell, the slow ones first."""
    cells = [(fault, where) for fault in FAULTS for where in TURNS]
    cells.sort(key=lambda cell: not (cell[0].gone or cell[0].words))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = [
            pool.submit(run, fault, where, folder / str(number))
            for number, (fault, where) in enumerate(cells)
        ]
        return {
            (fault.name, where): cell.result()
            for (fault, where), cell in zip(cells, done, strict=True)
        }


def table(cells: Mapping[tuple[str, Where], Cell]) -> str:
    """Return the results as a Markdown table."""
    rows: Iterable[Sequence[str]] = (
        [fault.name, *(_came_to(cells[fault.name, where]) for where in TURNS)] for fault in FAULTS
    )
    lines = ["| fault | first turn | middle turn | last turn |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _came_to(cell: Cell) -> str:
    retries = {0: "", 1: ", 1 retry"}.get(cell.retries, f", {cell.retries} retries")
    if cell.exit_code == 0:
        return f"done{retries}"
    return f"ends: `{cell.end.stop_reason}`{retries}"


BEGIN, END = "<!-- the table: python -m tests.apr.faults docs/reliability.md -->\n", "<!-- end -->"


def in_page(page: str) -> str:
    """Return the table that a page has."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def _appears(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} never was there"
        time.sleep(0.01)


def main() -> None:
    """Write the table into the page."""
    page = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        new = table(run_all(Path(folder)))
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{new}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
