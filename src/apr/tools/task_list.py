"""TaskList: the list of tasks."""

from typing import ClassVar

from msgspec import Struct

from apr.tools.base import Context, Outcome
from apr.tools.tasks import OfTasks, line


class TaskListInput(Struct, forbid_unknown_fields=True):
    """TaskList takes nothing."""


class TaskList(OfTasks):
    """Reads the list of a session."""

    name: ClassVar[str] = "TaskList"
    description: ClassVar[str] = "Show your list of tasks."
    Input = TaskListInput
    read_only: ClassVar[bool] = True

    async def run(self, call: TaskListInput, context: Context) -> Outcome:
        """Show it."""
        lines = [line(self._tasks, task) for task in self._tasks]
        return Outcome(content="\n".join(lines) or "The list is empty.")
