"""The library of one session: what a prompt like `/name args` stands for, and what a skill says."""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from apr.agent.calls import Checked, Ready, check, execute
from apr.agent.loop import Agent
from apr.agent.parts import Expansion
from apr.agent.permissions import BadRule, Rule, parse_rules
from apr.legible import legible
from apr.memory.reading import Unreadable, text_of
from apr.skills import filling, frontmatter
from apr.skills.found import Skill
from apr.tools.errors import ToolError
from ccpa.trace import ToolUseBlock

LISTED = 8_000
"""Characters of the list of skills that the model is given at most."""
_MOST_FILES = 20

More = Callable[[str, str], Awaitable[Expansion | None]]
"""Takes a name and what was given; returns what it stands for, where others know it."""


class SkillLibrary:
    """The user's skills and commands.

    Args:
        skills: by name.
        agent: returns the agent whose prompts these are; its gate decides on commands and files.
        more: knows further names: the prompts of MCP servers.
    """

    def __init__(
        self, skills: Mapping[str, Skill], agent: Callable[[], Agent], more: More | None = None
    ) -> None:
        self.skills = skills
        self._agent = agent
        self._more = more

    async def expand(self, prompt: str) -> Expansion | None:
        """Return what a prompt stands for; see `Library.expand`."""
        if prompt.startswith("/"):
            name, _, arguments = prompt[1:].partition(" ")
            skill = self.skills.get(name)
            if skill is not None and skill.by_user:
                text = await self.text(skill, arguments.strip())
                return Expansion(name, text, rules(skill))
            if self._more is not None and (found := await self._more(name, arguments.strip())):
                return found
        text = await self.with_files(prompt)
        return None if text == prompt else Expansion(None, text)

    async def text(self, skill: Skill, arguments: str) -> str:
        """Return a skill's instructions, with everything in its place.

        Raises:
            ToolError: the file is gone, or no text any more.
        """
        try:
            _, body = frontmatter.split(text_of(skill.path))
        except (OSError, Unreadable) as error:
            raise ToolError(f"{skill.name}: {skill.path} cannot be read: {error}") from None
        names = {
            "CLAUDE_SKILL_DIR": str(skill.path.parent),
            "CLAUDE_PLUGIN_ROOT": str(skill.root),
            "CLAUDE_SESSION_ID": self._agent().session.id,
        }
        text = filling.fill(body.strip(), arguments, names)
        if skill.kind == "skill":
            text = f"Base directory of this skill: {skill.path.parent}\n\n{text}"
        outputs = {c: await self._output(c, skill) for c in filling.commands(text)}
        return legible(await self.with_files(filling.put_output(text, outputs)))

    async def with_files(self, text: str) -> str:
        """Put the files that `@` names behind a text, as far as they are there and may be read."""
        parts = [text]
        for name in filling.files(text)[:_MOST_FILES]:
            outcome = await self._use("Read", {"file_path": name}, ())
            if outcome is not None and outcome.ok:
                parts.append(f'<file path="{name}">\n{outcome.text}\n</file>')
        return "\n\n".join(parts)

    async def _output(self, command: str, skill: Skill) -> str:
        outcome = await self._use("Bash", {"command": command}, rules(skill))
        if outcome is None:
            return f"[not run, for no rule allows it: {command}]"
        return outcome.text

    async def _use(
        self, tool: str, given: dict[str, str], allow: tuple[Rule, ...]
    ) -> "_Came | None":
        """Use a tool as the agent would; None where it must not be."""
        agent = self._agent()
        checked = check(ToolUseBlock("", tool, dict(given)), {}, agent.tools, agent.context)
        if not isinstance(checked, Checked):
            return None
        before, agent.gate.granted = agent.gate.granted, (*agent.gate.granted, *allow)
        try:
            allowed = agent.gate.decide(checked).behavior == "allow"
        finally:
            agent.gate.granted = before
        if not allowed:
            return None
        ran = await execute(Ready(checked.call, checked.tool, checked.input), agent.context)
        return _Came(ran.outcome.ok, ran.outcome.content)


class _Came(Struct, frozen=True):
    ok: bool
    text: str


def rules(skill: Skill) -> tuple[Rule, ...]:
    """Return what a skill allows while it is in use; what cannot be read allows nothing."""
    try:
        return parse_rules(skill.allowed)
    except BadRule:
        return ()


def listing(skills: Mapping[str, Skill]) -> tuple[str, list[str]]:
    """Return the skills as the model is told of them, and what a person should know of the list."""
    offered = [skill for skill in skills.values() if skill.by_model and skill.kind == "skill"]
    lines = [f"- {skill.name}: {skill.description}" for skill in offered]
    if sum(map(len, lines)) <= LISTED:
        return "\n".join(lines), []
    room = max(LISTED // len(lines), 1)
    cut = [line if len(line) <= room else f"{line[: room - 1]}…" for line in lines]
    return "\n".join(cut), [
        f"the descriptions of {len(lines)} skills are cut to {LISTED:,} characters in all"
    ]
