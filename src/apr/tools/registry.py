"""The tools there are, in the order in which a model is offered them."""

from collections.abc import Iterable, Mapping
from typing import Any

from apr.providers.base import ToolSpec
from apr.tools.base import Tool, parameters
from apr.tools.bash import Bash
from apr.tools.bash_output import BashOutput
from apr.tools.edit import Edit
from apr.tools.glob import Glob
from apr.tools.grep import Grep
from apr.tools.kill_shell import KillShell
from apr.tools.read import Read
from apr.tools.write import Write

BUILTIN: tuple[Tool[Any], ...] = (
    Read(),
    Write(),
    Edit(),
    Glob(),
    Grep(),
    Bash(),
    BashOutput(),
    KillShell(),
)

ALIASES = {"Task": "Agent", "TaskOutput": "BashOutput", "TaskStop": "KillShell"}
"""Names by which tools are also called."""


def builtin(*, sees: bool) -> list[Tool[Any]]:
    """Return the core tools, for a model that can or cannot be shown pictures."""
    return [Read(sees=sees) if tool.name == Read.name else tool for tool in BUILTIN]


def find(name: str, tools: Mapping[str, Tool[Any]]) -> Tool[Any] | None:
    """Return the tool of this name or alias, None if it is not among them."""
    return tools.get(name) or tools.get(ALIASES.get(name, ""))


def specs(tools: Iterable[Tool[Any]], known: Iterable[Tool[Any]] = ()) -> tuple[ToolSpec, ...]:
    """Return the tools as a model is shown them; those that are only known are not shown."""
    return (
        *(ToolSpec(tool.name, tool.description, parameters(tool)) for tool in tools),
        *(ToolSpec(tool.name, tool.description, parameters(tool), shown=False) for tool in known),
    )
