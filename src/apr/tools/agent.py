"""Agent: a task for a subagent."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from apr.subagents.company import Company, Task
from apr.subagents.kinds import Kind, find
from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError


class AgentInput(Struct, forbid_unknown_fields=True):
    """What Agent takes."""

    description: Annotated[str, Meta(description="The task in a few words")]
    prompt: Annotated[str, Meta(description="The whole task: the agent sees nothing else")]
    subagent_type: str = "general-purpose"
    model: str | None = None
    run_in_background: Annotated[bool, Meta(description="Do not wait for it")] = False
    isolation: Annotated[
        Literal["worktree"] | None, Meta(description="Work in a git worktree of its own")
    ] = None


class Agent:
    """Starts subagents of one session."""

    name: ClassVar[str] = "Agent"
    description: ClassVar[str] = (
        "Give a task to an agent with a context of its own. You get its last message only. Use it "
        "for searches that take many steps, and for independent tasks, several in one turn."
    )
    Input = AgentInput
    read_only: ClassVar[bool] = True  # several work beside each other

    def __init__(self, company: Company, kinds: Mapping[str, Kind]) -> None:
        self._company = company
        self._kinds = kinds

    def access(self, call: AgentInput, context: Context) -> Access:
        """Nothing by itself: what the subagent does is decided on then. A rule may name its kind.

        Raises:
            ToolError: there is no such kind.
        """
        return Access(kind="none", name=self._kind(call).name)

    async def run(self, call: AgentInput, context: Context) -> Outcome:
        """Have the task done, or begun."""
        kind = self._kind(call)
        task = Task(
            kind=kind,
            description=call.description,
            prompt=call.prompt,
            isolated=call.isolation == "worktree" or kind.isolated,
            model=call.model,
        )
        if call.run_in_background or kind.background:
            return self._company.start(task, context)
        return await self._company.run(task, context)

    def _kind(self, call: AgentInput) -> Kind:
        kind = find(self._kinds, call.subagent_type)
        if kind is None:
            names = ", ".join(self._kinds)
            raise ToolError(f"there is no agent {call.subagent_type!r}. There are: {names}")
        return kind
