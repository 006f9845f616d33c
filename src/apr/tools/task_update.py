"""TaskUpdate: how far a task is, or what else changes about it."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, field

from apr.tools.base import Access, Context, Outcome
from apr.tools.tasks import Status, Tasks, line


class TaskUpdateInput(Struct, forbid_unknown_fields=True, rename="camel"):
    """What TaskUpdate takes."""

    task_id: str
    status: Annotated[
        Status | Literal["deleted"] | None, Meta(description="deleted: take it off the list")
    ] = None
    subject: str | None = None
    description: str | None = None
    active_form: str | None = None
    owner: str | None = None
    add_blocks: list[str] = field(default_factory=list)
    add_blocked_by: list[str] = field(default_factory=list)


class TaskUpdate:
    """Changes the list of a session."""

    name: ClassVar[str] = "TaskUpdate"
    description: ClassVar[str] = "Change a task of your list, its status above all."
    Input = TaskUpdateInput
    read_only: ClassVar[bool] = False

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def access(self, call: TaskUpdateInput, context: Context) -> Access:
        """Touch nothing but the list."""
        return Access(kind="none")

    async def run(self, call: TaskUpdateInput, context: Context) -> Outcome:
        """Change it, all at once: a wrong id changes nothing."""
        task = self._tasks.get(call.task_id)
        blocked = [self._tasks.get(other) for other in call.add_blocks]
        blocking = [self._tasks.get(other) for other in call.add_blocked_by]
        if call.status == "deleted":
            self._tasks.remove(task.id)
            return Outcome(content=f"Task {task.id} is off the list.")
        task.status = call.status or task.status
        task.subject = call.subject or task.subject
        task.description = task.description if call.description is None else call.description
        task.active_form = call.active_form or task.active_form
        task.owner = task.owner if call.owner is None else call.owner
        for other in blocked:
            other.blocked_by = [*dict.fromkeys([*other.blocked_by, task.id])]
        task.blocked_by = [*dict.fromkeys([*task.blocked_by, *(b.id for b in blocking)])]
        return Outcome(content=line(self._tasks, task))
