"""TaskGet: all that is known of a task."""

from typing import ClassVar

import msgspec
from msgspec import Struct

from apr.tools.tasks import OfTasks, line


class TaskGetInput(Struct, forbid_unknown_fields=True, rename={"task_id": "taskId"}):
    """What TaskGet takes."""

    task_id: str


class TaskGet(OfTasks):
    """Reads the list of a session."""

    name: ClassVar[str] = "TaskGet"
    description: ClassVar[str] = "Show a task of your list."
    Input = TaskGetInput
    read_only: ClassVar[bool] = True

    def do(self, call: TaskGetInput) -> str:
        """Show it."""
        task = self._tasks.get(call.task_id)
        shown = [line(self._tasks, task), task.description]
        if task.metadata:
            shown.append(msgspec.json.encode(task.metadata).decode())
        return "\n\n".join(part for part in shown if part)
