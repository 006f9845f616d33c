"""What the real tools answer in a session: run on a copy of its fixture's workspace."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import msgspec

from apr.agent.calls import Checked, Ready, check, execute, report
from apr.tools.base import Context
from apr.tools.files import FileLedger
from apr.tools.registry import BUILTIN
from apr.tools.shells import Shells
from ccpa.trace import ToolUseBlock
from demo_model.sessions import FIXTURES, Answer, Session

DIRECTORY = "/the/working/directory"
"""Stands in results for the directory they were made in."""


def with_real_results(session: Session) -> Session:
    """Run the session's tool uses in a copy of its workspace, and take over what they come to.

    Raises:
        SystemExit: a tool fails where the teacher's did not, or the other way round.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve() / "work"
        shutil.copytree(FIXTURES / session.id / "workspace", root)
        return asyncio.run(_run_tools(session, root))


async def _run_tools(session: Session, root: Path) -> Session:
    tools = {tool.name: tool for tool in BUILTIN}
    context = Context(root=root, cwd=root, files=FileLedger(), shells=Shells())
    answers: list[Answer] = []
    for answer in session.answers:
        calls = []
        for number, call in enumerate(answer.calls):
            use = ToolUseBlock(f"{len(answers)}-{number}", call.name, call.input)
            checked = check(use, {}, tools, context)
            if isinstance(checked, Checked):
                came_to = await execute(Ready(use, checked.tool, checked.input), context)
                context.cwd = came_to.outcome.directory or context.cwd
                result = report(2, use, came_to, root)
            else:
                result = report(2, use, checked, root)
            if result.ok != call.ok:
                raise SystemExit(f"{session.id}: {call.name} came to {result.content!r}.")
            content = result.content.replace(str(root), DIRECTORY)
            calls.append(msgspec.structs.replace(call, result=content))
        answers.append(msgspec.structs.replace(answer, calls=tuple(calls)))
    return msgspec.structs.replace(session, answers=tuple(answers))
