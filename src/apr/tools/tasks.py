"""The list of tasks of one session: what is to be done, and how far it is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

from msgspec import Struct, field

from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError

Status = Literal["pending", "in_progress", "completed"]
MOST = 200


class Task(Struct, kw_only=True):
    """One thing to do."""

    id: str
    subject: str
    description: str = ""
    active_form: str = ""
    """What is being done, while it is."""
    status: Status = "pending"
    owner: str = ""
    blocked_by: list[str] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


class Tasks:
    """The tasks, in the order they were made."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._made = 0

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def add(
        self,
        subject: str,
        *,
        description: str = "",
        active_form: str = "",
        metadata: dict[str, Any] | None = None,
    ) -> Task:
        """Add a task.

        Raises:
            ToolError: there are too many.
        """
        if len(self._tasks) >= MOST:
            raise ToolError(f"there are {MOST} tasks already: finish or delete some")
        self._made += 1
        task = Task(
            id=str(self._made),
            subject=subject,
            description=description,
            active_form=active_form,
            metadata=metadata or {},
        )
        self._tasks[task.id] = task
        return task

    def get(self, task_id: str) -> Task:
        """Return a task.

        Raises:
            ToolError: there is none with this id.
        """
        task = self._tasks.get(task_id)
        if task is None:
            known = ", ".join(self._tasks) or "none"
            raise ToolError(f"there is no task {task_id!r}. There are: {known}")
        return task

    def remove(self, task_id: str) -> None:
        """Remove a task, and whatever waits for it waits no more."""
        self.get(task_id)
        del self._tasks[task_id]
        for task in self._tasks.values():
            task.blocked_by = [other for other in task.blocked_by if other != task_id]

    def block(self, waits: Sequence[tuple[str, str]]) -> None:
        """Let tasks wait for others: pairs of ids, the one that waits first.

        Raises:
            ToolError: there is no such task, or one would wait for itself; then nothing changes.
        """
        behind = {task.id: dict.fromkeys(task.blocked_by) for task in self}
        for waiting, other in waits:
            behind[self.get(waiting).id][self.get(other).id] = None
        for waiting, other in waits:
            if waiting in _all_behind(behind, other):
                raise ToolError(f"task {waiting} would wait for itself: {other} waits for it")
        for task in self:
            task.blocked_by = list(behind[task.id])

    def replace(self, tasks: Sequence[Task]) -> None:
        """Put another list in the place of this one."""
        if len(tasks) > MOST:
            raise ToolError(f"a list has {MOST} tasks at most")
        self._tasks = {task.id: task for task in tasks}
        self._made = len(tasks)

    def open(self) -> list[str]:
        """Return what is still to be done, in words."""
        return [task.subject for task in self if task.status != "completed"]

    def blocking(self, task: Task) -> list[str]:
        """Return the ids of the unfinished tasks that one waits for."""
        return [
            other
            for other in task.blocked_by
            if other in self._tasks and self._tasks[other].status != "completed"
        ]


CHANGING = frozenset({"TaskCreate", "TaskUpdate", "TodoWrite"})
"""The tools that change a list."""


class OfTasks(ABC):
    """A tool that works on a list of tasks."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def on(self, tasks: Tasks) -> Self:
        """Return the same tool for another list: a subagent has its own."""
        return type(self)(tasks)

    def access(self, call: Struct, context: Context) -> Access:
        """Touch nothing but the list."""
        return Access(kind="none")

    async def run(self, call: Any, context: Context) -> Outcome:
        """Do what the tool does, and say what that came to."""
        return Outcome(content=self.do(call))

    @abstractmethod
    def do(self, call: Any) -> str:
        """Read or change the list; return what the model is told.

        Raises:
            ToolError: that cannot be; then nothing has changed.
        """


def _all_behind(behind: Mapping[str, Iterable[str]], start: str) -> set[str]:
    """Return a task, and all that it waits for, also through others."""
    found, left = {start}, [start]
    while left:
        new = set(behind[left.pop()]) - found
        found |= new
        left += new
    return found


def line(tasks: Tasks, task: Task) -> str:
    """Return a task in a line."""
    waits = tasks.blocking(task)
    behind = f" (waits for {', '.join(waits)})" if waits else ""
    owner = f" [{task.owner}]" if task.owner else ""
    return f"{task.id}. {task.status}: {' '.join(task.subject.split())}{owner}{behind}"
