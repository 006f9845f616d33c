"""Doing a recorded tool use again, on a copy of the workspace: what would its result have been?

One module per group of tools. A tool that cannot be done again (the web, another agent, a person,
an MCP server) has no entry in `TOOLS`. Commands in a trace are really run: only for traces that
one trusts.
"""

from collections.abc import Callable
from typing import Any

from ccpa.rerun import files, notebook, search, shell
from ccpa.rerun.bench import Outcome, OutsideError, RefusedError, Workbench

__all__ = ["TOOLS", "Outcome", "Workbench", "rerun"]

TOOLS: dict[str, Callable[[Workbench, dict[str, Any]], Outcome]] = {
    "Read": files.read,
    "Write": files.write,
    "Edit": files.edit,
    "NotebookEdit": notebook.edit,
    "Glob": search.glob,
    "Grep": search.grep,
    "Bash": shell.bash,
    "BashOutput": shell.output,
    "KillShell": shell.kill,
}


def rerun(bench: Workbench, tool: str, tool_input: dict[str, Any]) -> Outcome | None:
    """Do one tool use again; None if it cannot be: no such tool, or a path outside the copy."""
    run = TOOLS.get(tool)
    if run is None:
        return None
    try:
        return run(bench, tool_input)
    except OutsideError:
        return None
    except (RefusedError, OSError, ValueError, TypeError) as refusal:
        # Traces are hostile: inputs of a wrong type, paths with NUL, names that are too long.
        return Outcome(ok=False, content=f"<tool_use_error>{refusal}</tool_use_error>")
