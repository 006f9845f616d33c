"""The main job, shown: a local model fixes a bug, the trace shows how, the meter scores it.

Run by `make demo`. Everything it shows is what the commands it names print; it only sets the stage.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from ccpa.fixtures import Fixture, load_fixture, materialise, read_trace
from ccpa.trace import UserPrompt

ROOT = Path(__file__).parent.parent
FIXTURE = ROOT / "fixtures" / "canonical" / "demo-fix-median"
OTHER = ROOT / "fixtures" / "canonical" / "demo-failing-test"
STAGE = ROOT / "build" / "demo"
BIN = Path(sys.executable).parent
BOLD, DIM, RESET = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if sys.stdout.isatty() else ("", "", "")


def main() -> int:
    """Play the demo; return 0 if the student did what the teacher did."""
    project, prompt, fixture = set_stage()
    trace = STAGE / "run.ccpa-trace.jsonl"
    teacher = FIXTURE / "teacher.ccpa-trace.jsonl"

    title("A local model works on a bug. Nothing leaves this machine.")
    run(
        *("apr", "code", "--model", "demo", "--emit-trace", trace),
        *("--permission-mode", fixture.settings.permission_mode or "default"),
        *("--allowedTools", ",".join(fixture.settings.allow)),
        prompt,
        folder=project,
    )
    title("What it changed")
    run("git", "--no-pager", "diff", folder=project)
    title("Every action is in the trace. Is the trace sound?")
    sound = run("ccpa", "validate", trace, folder=ROOT)
    title("How near did it come to the teacher, Claude Code?")
    near = run("ccpa", "diff", teacher, trace, folder=ROOT)
    title("Can the score fail? Held against the teacher of another task:")
    far = run("ccpa", "diff", OTHER / "teacher.ccpa-trace.jsonl", trace, folder=ROOT)
    print(f"\n{DIM}The trace: {shown(trace)}  The project: {shown(project)}")
    print(f"Your turn:  {shown(BIN / 'apr')} code --help{RESET}")
    return 1 if sound or near or not far else 0


def set_stage() -> tuple[Path, str, Fixture]:
    """Make the project anew, under git; return it, the task, and the fixture they come from."""
    shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True)
    project = STAGE / "project"
    fixture = load_fixture(FIXTURE)
    materialise(fixture, project)
    for words in (("init", "-b", "main"), ("add", "."), ("commit", "-m", "Start")):
        quietly("git", *words, folder=project)
    trace = read_trace(FIXTURE / "teacher.ccpa-trace.jsonl")
    return project, next(r.text for r in trace if isinstance(r, UserPrompt)), fixture


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{BOLD}{text}{RESET}", flush=True)


def run(*words: str | Path, folder: Path) -> int:
    """Show a command, run it in `folder` with a home of its own, return its exit code."""
    print(f"{DIM}$ {shlex.join(shown(word) for word in words)}{RESET}", flush=True)
    command = [shown(word) if folder == ROOT else str(word) for word in words]
    return subprocess.run(command, cwd=folder, env=environment(), check=False).returncode


def quietly(*words: str, folder: Path) -> None:
    """Run a command that is no part of the show."""
    subprocess.run(words, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, check=True)


def environment() -> dict[str, str]:
    """Return all that the commands get: a home of their own, so that nothing of yours is used."""
    who = {"NAME": "demo", "EMAIL": "demo@localhost"}
    return {
        "HOME": str(STAGE / "home"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "TERM": os.environ.get("TERM", "dumb"),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        **{f"GIT_{role}_{name}": v for role in ("AUTHOR", "COMMITTER") for name, v in who.items()},
    }


def shown(word: str | Path) -> str:
    """Return a path as a person in the repository would write it."""
    if isinstance(word, Path) and word.is_relative_to(ROOT):
        return str(word.relative_to(ROOT))
    return str(word)


if __name__ == "__main__":
    sys.exit(main())
