"""TaskCreate: a task for the list."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, field

from apr.tools.tasks import OfTasks, line


class TaskCreateInput(Struct, forbid_unknown_fields=True, rename={"active_form": "activeForm"}):
    """What TaskCreate takes."""

    subject: Annotated[str, Meta(min_length=1, description="What is to be done, in a few words")]
    description: str = ""
    active_form: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


class TaskCreate(OfTasks):
    """Adds to the list of a session."""

    name: ClassVar[str] = "TaskCreate"
    description: ClassVar[str] = "Add a task to your list."
    Input = TaskCreateInput
    read_only: ClassVar[bool] = False

    def do(self, call: TaskCreateInput) -> str:
        """Add it."""
        task = self._tasks.add(
            call.subject,
            description=call.description,
            active_form=call.active_form,
            metadata=call.metadata,
        )
        return f"Added {line(self._tasks, task)}"
