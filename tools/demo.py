"""The main job, shown: a local model fixes a bug, the trace shows how, the meter scores it.

Run by `make demo`. Everything it shows is what the commands it names print; it only sets the stage.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from ccpa.fixtures import load

ROOT = Path(__file__).parent.parent
FIXTURE = ROOT / "fixtures" / "canonical" / "demo-fix-failing-test"
STAGE = ROOT / "build" / "demo"
BIN = Path(sys.executable).parent
BOLD, DIM, RESET = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if sys.stdout.isatty() else ("", "", "")


def main() -> int:
    """Play the demo; return 0 if the student did what the teacher did."""
    shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True)
    project = STAGE / "project"
    shutil.copytree(FIXTURE / "workspace", project)
    trace = STAGE / "run.ccpa-trace.jsonl"
    fixture = load(FIXTURE)

    title("A local model works on a bug: nothing leaves this machine")
    run(
        *("apr", "code", "--model", "demo", "--emit-trace", trace),
        *("--permission-mode", "acceptEdits", "--allowedTools", "Bash(python3 -m unittest:*)"),
        fixture.prompts[0],
        folder=project,
    )
    title("What it changed")
    run("git", "diff", "--no-index", "--stat", "-p", FIXTURE / "workspace", project, folder=STAGE)
    title("Every action is in the trace. Is the trace sound?")
    sound = run("ccpa", "validate", trace, folder=ROOT)
    title("How near did it come to the teacher, Claude Code?")
    near = run("ccpa", "diff", FIXTURE / "teacher.ccpa-trace.jsonl", trace, folder=ROOT)
    print(f"\n{DIM}The trace: {shown(trace)}  The project: {shown(project)}")
    print(f"Your turn:  {shown(BIN / 'apr')} code --help{RESET}")
    return 1 if sound or near else 0


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{BOLD}{text}{RESET}", flush=True)


def run(*words: str | Path, folder: Path) -> int:
    """Show a command, run it in `folder` with a home of its own, return its exit code."""
    print(f"{DIM}$ {shlex.join(shown(word) for word in words)}{RESET}", flush=True)
    environment = {
        "HOME": str(STAGE / "home"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "TERM": os.environ.get("TERM", "dumb"),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
    }
    return subprocess.run([str(word) for word in words], cwd=folder, env=environment).returncode


def shown(word: str | Path) -> str:
    """Return a path as a person in the repository would write it."""
    if isinstance(word, Path) and word.is_relative_to(ROOT):
        return str(word.relative_to(ROOT))
    return str(word)


if __name__ == "__main__":
    sys.exit(main())
