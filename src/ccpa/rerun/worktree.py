"""The worktree of an isolated subagent, made again when the subagent first names a path in it."""

import json
import re
import subprocess
from typing import Any

from ccpa.process import clean_environment
from ccpa.rerun.bench import Workbench

_PLACE = re.compile(r"\.claude/worktrees/([\w-]+)")


def enter_worktree(bench: Workbench, tool_input: dict[str, Any]) -> None:
    """Make the worktree that a subagent's input names, if need be, and start its shell there."""
    named = _PLACE.search(json.dumps(tool_input)) if bench.agent is not None else None
    if named is None:
        return
    path = bench.root / named[0]
    if not path.exists():
        subprocess.run(
            ["git", "worktree", "add", "-q", "-b", f"worktree-{named[1]}", str(path), "HEAD"],
            cwd=bench.root,
            env=clean_environment(bench.home),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,  # without a repository the tool use that follows finds nothing there
        )
    bench.directories.setdefault(bench.agent, path)
