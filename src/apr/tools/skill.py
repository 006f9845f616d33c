"""Skill: load the instructions for a kind of task."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from apr.agent.gate import Gate
from apr.skills.found import named
from apr.skills.library import SkillLibrary
from apr.subagents.company import Company, Task
from apr.subagents.kinds import Kind, find
from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError
from ccpa.trace import SkillInvocation


class SkillInput(Struct, forbid_unknown_fields=True):
    """What Skill takes."""

    skill: Annotated[str, Meta(description="Its name, from the list of skills")]
    args: str = ""


class Skill:
    """Loads skills for one agent.

    Args:
        library: the agent's.
        gate: the agent's; what a skill allows is granted there.
        company: has a skill worked on by a subagent, where it says so; None for a subagent's own
            tool: subagents have none.
        kinds: the subagents there are.
    """

    name: ClassVar[str] = "Skill"
    description: ClassVar[str] = (
        "Load the instructions of a skill. Use it first where a skill of the list fits the task, "
        "then do what it says."
    )
    Input = SkillInput
    read_only: ClassVar[bool] = False

    def __init__(
        self, library: SkillLibrary, gate: Gate, company: Company | None, kinds: dict[str, Kind]
    ) -> None:
        self._library = library
        self._gate = gate
        self._company = company
        self._kinds = kinds

    def access(self, call: SkillInput, context: Context) -> Access:
        """Nothing by itself: what the skill has done is decided on then. A rule may name it."""
        skill = named(self._library.skills, call.skill)
        name = call.skill.strip().removeprefix("/") if skill is None else skill.name
        return Access(kind="none", name=f"{name} {call.args}".strip())

    async def run(self, call: SkillInput, context: Context) -> Outcome:
        """Return the instructions, or what a subagent came to that worked by them."""
        skill = named(self._library.skills, call.skill)
        if skill is None or not skill.by_model:
            names = ", ".join(s.name for s in self._library.skills.values() if s.by_model)
            raise ToolError(f"there is no skill {call.skill!r}. There are: {names or 'none'}")
        text = await self._library.text(skill, call.args)
        used = SkillInvocation(
            v=1, turn=0, name=skill.name, source="auto_matched", instructions_injected=True
        )
        allow = self._library.rules(skill)
        if skill.agent and self._company is not None:
            kind = find(self._kinds, skill.agent)
            if kind is None:
                raise ToolError(f"{skill.name}: there is no agent {skill.agent!r}, which it names")
            task = Task(kind=kind, description=skill.name, prompt=text, allow=allow)
            outcome = await self._company.run(task, context)
            return Outcome(content=outcome.content, ok=outcome.ok, records=(used,))
        self._gate.granted = (*self._gate.granted, *allow)
        return Outcome(content=f"The skill {skill.name} is in use.\n\n{text}", records=(used,))
