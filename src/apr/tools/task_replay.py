"""The list of tasks of a session that is gone on with: its calls make it again."""

import contextlib
from collections.abc import Iterable
from typing import Any

from apr.tools.errors import ToolError
from apr.tools.inputs import parse
from apr.tools.task_create import TaskCreate
from apr.tools.task_update import TaskUpdate
from apr.tools.tasks import Tasks
from apr.tools.todo_write import TodoWrite
from ccpa.trace import ToolUseBlock


def replay(tasks: Tasks, calls: Iterable[ToolUseBlock]) -> None:
    """Make the changes again that calls have made. One that cannot be made any more is passed over.

    Args:
        tasks: the list, which is empty.
        calls: of the tools in `CHANGING`, in order.
    """
    changing = (TaskCreate(tasks), TaskUpdate(tasks), TodoWrite(tasks))
    tools: dict[str, Any] = {tool.name: tool for tool in changing}
    for call in calls:
        tool = tools[call.name]
        with contextlib.suppress(ToolError):
            tool.do(parse(tool, call.input))
