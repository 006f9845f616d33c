"""TodoWrite: the whole list of tasks, written anew."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from apr.tools.base import Access, Context, Outcome
from apr.tools.tasks import Status, Task, Tasks


class Todo(Struct, forbid_unknown_fields=True, rename={"active_form": "activeForm"}):
    """One item."""

    content: str
    status: Status
    active_form: str = ""


class TodoWriteInput(Struct, forbid_unknown_fields=True):
    """What TodoWrite takes."""

    todos: Annotated[
        list[Todo], Meta(description="All items; status: pending, in_progress or completed")
    ]


class TodoWrite:
    """Keeps the list of a session."""

    name: ClassVar[str] = "TodoWrite"
    description: ClassVar[str] = (
        "Write your list of tasks, for work of three steps or more. Give the whole list each time; "
        "one item at a time is in_progress."
    )
    Input = TodoWriteInput
    read_only: ClassVar[bool] = False

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def access(self, call: TodoWriteInput, context: Context) -> Access:
        """Touch nothing but the list."""
        return Access(kind="none")

    async def run(self, call: TodoWriteInput, context: Context) -> Outcome:
        """Save the list."""
        self._tasks.replace(
            [
                Task(
                    id=str(number),
                    subject=todo.content,
                    active_form=todo.active_form,
                    status=todo.status,
                )
                for number, todo in enumerate(call.todos, 1)
            ]
        )
        left = len(self._tasks.open())
        return Outcome(content=f"The list is saved: {left} of {len(call.todos)} still to be done.")
