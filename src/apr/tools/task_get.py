"""TaskGet: all that is known of a task."""

from typing import ClassVar

from msgspec import Struct

from apr.tools.base import Access, Context, Outcome
from apr.tools.tasks import Tasks, line


class TaskGetInput(Struct, forbid_unknown_fields=True, rename={"task_id": "taskId"}):
    """What TaskGet takes."""

    task_id: str


class TaskGet:
    """Reads the list of a session."""

    name: ClassVar[str] = "TaskGet"
    description: ClassVar[str] = "Show a task of your list."
    Input = TaskGetInput
    read_only: ClassVar[bool] = True

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def access(self, call: TaskGetInput, context: Context) -> Access:
        """Touch nothing."""
        return Access(kind="none")

    async def run(self, call: TaskGetInput, context: Context) -> Outcome:
        """Show it."""
        task = self._tasks.get(call.task_id)
        shown = [line(self._tasks, task), task.description]
        return Outcome(content="\n\n".join(part for part in shown if part))
