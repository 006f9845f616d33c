"""TaskList: the list of tasks."""

from typing import ClassVar

from msgspec import Struct

from apr.tools.tasks import OfTasks, line


class TaskListInput(Struct, forbid_unknown_fields=True):
    """TaskList takes nothing."""


class TaskList(OfTasks):
    """Reads the list of a session."""

    name: ClassVar[str] = "TaskList"
    description: ClassVar[str] = "Show your list of tasks."
    Input = TaskListInput
    read_only: ClassVar[bool] = True

    def do(self, call: TaskListInput) -> str:
        """Show it."""
        lines = [line(self._tasks, task) for task in self._tasks]
        return "\n".join(lines) or "The list is empty."
