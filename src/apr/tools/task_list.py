"""TaskList: the list of tasks."""

from typing import ClassVar

from msgspec import Struct

from apr.tools.base import Access, Context, Outcome
from apr.tools.tasks import Tasks, line


class TaskListInput(Struct, forbid_unknown_fields=True):
    """TaskList takes nothing."""


class TaskList:
    """Reads the list of a session."""

    name: ClassVar[str] = "TaskList"
    description: ClassVar[str] = "Show your list of tasks."
    Input = TaskListInput
    read_only: ClassVar[bool] = True

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def access(self, call: TaskListInput, context: Context) -> Access:
        """Touch nothing."""
        return Access(kind="none")

    async def run(self, call: TaskListInput, context: Context) -> Outcome:
        """Show it."""
        lines = [line(self._tasks, task) for task in self._tasks]
        return Outcome(content="\n".join(lines) or "The list is empty.")
