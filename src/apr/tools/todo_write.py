"""TodoWrite: the whole list of tasks, written anew."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from apr.tools.tasks import OfTasks, Status, Task


class Todo(Struct, rename={"active_form": "activeForm"}):
    """One item. Ids and priorities, which some models give besides, are not kept."""

    content: Annotated[str, Meta(min_length=1)]
    status: Status
    active_form: str = ""


class TodoWriteInput(Struct, forbid_unknown_fields=True):
    """What TodoWrite takes."""

    todos: Annotated[
        list[Todo], Meta(description="All items; status: pending, in_progress or completed")
    ]


class TodoWrite(OfTasks):
    """Keeps the list of a session."""

    name: ClassVar[str] = "TodoWrite"
    description: ClassVar[str] = (
        "Write your list of tasks, for work of three steps or more. Give the whole list each time; "
        "one item at a time is in_progress."
    )
    Input = TodoWriteInput
    read_only: ClassVar[bool] = False

    def do(self, call: TodoWriteInput) -> str:
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
        return f"The list is saved: {left} of {len(call.todos)} still to be done."
