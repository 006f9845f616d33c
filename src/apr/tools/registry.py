"""The tools there are, in the order in which a model is offered them."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import import_module
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


def later(name: str, *arguments: Any) -> Callable[[], Tool[Any]]:
    """Return what makes a tool, once, with these arguments: only then is it imported.

    `TaskGet` is in the module `task_get`.
    """

    @cache
    def make() -> Tool[Any]:
        words = "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name)
        module = import_module(f"apr.tools.{words.removeprefix('_')}")
        tool: Tool[Any] = getattr(module, name)(*arguments)
        return tool

    return make


def specs(tools: Iterable[Tool[Any]]) -> tuple[ToolSpec, ...]:
    """Return the tools as a model is shown them."""
    return tuple(ToolSpec(tool.name, tool.description, parameters(tool)) for tool in tools)


def specs_later(
    tools: Mapping[str, Tool[Any]], names: Iterable[str]
) -> dict[str, Callable[[], ToolSpec]]:
    """Return by name what makes the specs of some of the tools."""

    def later(name: str) -> Callable[[], ToolSpec]:
        return cache(lambda: specs([tools[name]])[0])

    return {name: later(name) for name in names}
