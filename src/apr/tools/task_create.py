"""TaskCreate: a task for the list."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from apr.tools.base import Access, Context, Outcome
from apr.tools.tasks import Tasks, line


class TaskCreateInput(Struct, forbid_unknown_fields=True, rename={"active_form": "activeForm"}):
    """What TaskCreate takes."""

    subject: Annotated[str, Meta(description="What is to be done, in a few words")]
    description: str = ""
    active_form: str = ""


class TaskCreate:
    """Adds to the list of a session."""

    name: ClassVar[str] = "TaskCreate"
    description: ClassVar[str] = "Add a task to your list."
    Input = TaskCreateInput
    read_only: ClassVar[bool] = False

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def access(self, call: TaskCreateInput, context: Context) -> Access:
        """Touch nothing but the list."""
        return Access(kind="none")

    async def run(self, call: TaskCreateInput, context: Context) -> Outcome:
        """Add it."""
        task = self._tasks.add(
            call.subject, description=call.description, active_form=call.active_form
        )
        return Outcome(content=f"Added {line(self._tasks, task)}")
