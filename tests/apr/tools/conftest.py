"""A project to work in, and a way to call a tool as the agent does: checked input, then run."""

from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from apr.tools.base import Context, Outcome
from apr.tools.files import FileLedger
from apr.tools.inputs import parse
from apr.tools.registry import BUILTIN, find
from apr.tools.shells import Shells

TOOLS = {tool.name: tool for tool in BUILTIN}
Call = Callable[..., Coroutine[Any, Any, Outcome]]


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[Context]:
    root = (tmp_path / "project").resolve()
    root.mkdir()
    context = Context(root=root, cwd=root, files=FileLedger(), shells=Shells())
    yield context
    await context.shells.close()


@pytest.fixture
def root(context: Context) -> Path:
    return context.root


@pytest.fixture
def call(context: Context) -> Call:
    """Call like `call("Read", file_path="x")`; fields like `-A` go in a dict after the name."""

    async def use(name: str, fields: dict[str, Any] | None = None, **more: Any) -> Outcome:
        tool = find(name, TOOLS)
        assert tool is not None
        given = parse(tool, {**(fields or {}), **more})
        tool.access(given, context)
        outcome = await tool.run(given, context)
        context.cwd = outcome.directory or context.cwd
        return outcome

    return use
