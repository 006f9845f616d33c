"""TaskUpdate: how far a task is, or what else changes about it."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct, field

from apr.tools.tasks import OfTasks, line


class TaskUpdateInput(Struct, forbid_unknown_fields=True, rename="camel"):
    """What TaskUpdate takes."""

    task_id: str
    status: Annotated[
        Literal["pending", "in_progress", "completed", "deleted"] | None,
        Meta(description="deleted: take it off the list"),
    ] = None
    subject: Annotated[str, Meta(min_length=1)] | None = None
    description: str | None = None
    active_form: str | None = None
    owner: str | None = None
    metadata: Annotated[
        dict[str, Any], Meta(description="Added to what is there; null takes away")
    ] = field(default_factory=dict)
    add_blocks: list[str] = field(default_factory=list)
    add_blocked_by: list[str] = field(default_factory=list)


class TaskUpdate(OfTasks):
    """Changes the list of a session."""

    name: ClassVar[str] = "TaskUpdate"
    description: ClassVar[str] = "Change a task of your list, its status above all."
    Input = TaskUpdateInput
    read_only: ClassVar[bool] = False

    def do(self, call: TaskUpdateInput) -> str:
        """Change it, all at once: what is wrong with a part of it changes nothing."""
        tasks, task = self._tasks, self._tasks.get(call.task_id)
        waits = [(task.id, other) for other in call.add_blocked_by]
        waits += [(other, task.id) for other in call.add_blocks]
        if call.status == "deleted":
            tasks.remove(task.id)
            return f"Task {task.id} is off the list."
        tasks.block(waits)
        task.status = call.status or task.status
        task.subject = call.subject or task.subject
        task.description = task.description if call.description is None else call.description
        task.active_form = task.active_form if call.active_form is None else call.active_form
        task.owner = task.owner if call.owner is None else call.owner
        merged = task.metadata | call.metadata
        task.metadata = {key: value for key, value in merged.items() if value is not None}
        return line(tasks, task)
