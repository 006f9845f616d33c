"""Bash, and the shells it leaves in the background."""

import re
from pathlib import Path
from typing import Any

from ccpa.process import clean_environment, run_shell
from ccpa.rerun.bench import Outcome, RefusedError, Workbench, whole_number

LONGEST_MS = 60_000
_TIMED_OUT = 143
NO_OUTPUT = "(Bash completed with no output)"


def bash(bench: Workbench, tool_input: dict[str, Any]) -> Outcome:
    """Run the command where the last one left off. One in the background is run to its end too."""
    command = tool_input.get("command")
    if not isinstance(command, str) or not command.strip():
        raise RefusedError("command is missing.")
    limit = min(whole_number(tool_input, "timeout", LONGEST_MS), LONGEST_MS) / 1000
    left_in = bench.home / "left-in"
    environment = clean_environment(bench.home) | {"CCPA_LEFT_IN": str(left_in)}
    done = run_shell(
        f"trap 'pwd -P >\"$CCPA_LEFT_IN\"' EXIT\n{bench.to_copy(command)}",
        cwd=_directory(bench),
        environment=environment,
        timeout_s=limit,
    )
    output = bench.to_session(done.output).rstrip("\n")
    if tool_input.get("run_in_background"):
        shell_id = f"bash_{len(bench.background) + 1}"
        bench.background[shell_id] = output
        return Outcome(content=f"The command runs in the background as {shell_id}.")
    if left_in.exists():
        bench.directories[bench.agent] = Path(left_in.read_text().removesuffix("\n"))
        left_in.unlink()
    code = _TIMED_OUT if done.exit_code is None else done.exit_code
    if code:
        content = f"Exit code {code}\n{output}".rstrip("\n")
        return Outcome(ok=False, content=content, exact=True, exit_code=code)
    return Outcome(content=output or NO_OUTPUT, exact=True, exit_code=0)


def output(bench: Workbench, tool_input: dict[str, Any]) -> Outcome:
    """Show all that a background shell will have said; a look at it may come sooner."""
    text = _background(bench, tool_input.get("bash_id"))
    if wanted := tool_input.get("filter"):
        text = "\n".join(line for line in text.split("\n") if re.search(str(wanted), line))
    lines = frozenset(text.split("\n")) if text else frozenset[str]()
    return Outcome(content=f"[ended]\n{text}", lines=frozenset(), optional_lines=lines)


def kill(bench: Workbench, tool_input: dict[str, Any]) -> Outcome:
    """Say that the shell was ended."""
    shell_id = tool_input.get("shell_id")
    _background(bench, shell_id)
    return Outcome(content=f"The shell {shell_id} was ended.")


def _background(bench: Workbench, shell_id: object) -> str:
    if not isinstance(shell_id, str) or shell_id not in bench.background:
        raise RefusedError(f"there is no background shell {shell_id!r}.")
    return bench.background[shell_id]


def _directory(bench: Workbench) -> Path:
    kept = bench.directories.get(bench.agent, bench.root)
    return kept if kept.is_relative_to(bench.root) and kept.is_dir() else bench.root
