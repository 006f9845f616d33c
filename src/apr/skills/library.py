"""The library of one agent: what a prompt like `/name args` stands for, and what a skill says."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from apr.agent.calls import Checked, Ready, check, execute
from apr.agent.loop import Agent
from apr.agent.parts import Expansion
from apr.agent.permissions import BadRule, Rule, parse_rules
from apr.legible import legible
from apr.memory.reading import Unreadable, text_of
from apr.skills import filling, frontmatter
from apr.skills.found import Skill, named
from apr.tools.errors import ToolError
from ccpa.trace import ToolUseBlock

LISTED = 8_000
"""Characters of the list of skills that the model is given at most."""
_MOST_FILES = 20

More = Callable[[str, str], Awaitable[Expansion | None]]
"""Takes a name and what was given; returns what it stands for, where others know it."""


class SkillLibrary:
    """The user's skills and commands, as one agent uses them.

    Args:
        skills: by name.
        agent: returns the agent whose prompts these are; its gate decides on commands and files.
        more: knows further names: the prompts of MCP servers.
        grants: whether a skill's `allowed-tools` count; an organisation may allow its rules alone.
    """

    def __init__(
        self,
        skills: Mapping[str, Skill],
        agent: Callable[[], Agent],
        more: More | None = None,
        *,
        grants: bool = True,
    ) -> None:
        self.skills = skills
        self._agent = agent
        self._more = more
        self._grants = grants

    async def expand(self, prompt: str, typed: str | None = None) -> Expansion | None:
        """Return what a prompt stands for; see `Library.expand`."""
        if prompt.startswith("/"):
            name, *rest = prompt[1:].split(maxsplit=1) or [""]
            arguments = rest[0].strip() if rest else ""
            skill = named(self.skills, name)
            if skill is not None and skill.by_user:
                try:
                    text = await self.text(skill, arguments)
                except ToolError as error:
                    return Expansion(None, f"{prompt}\n\n[{error}]")
                return Expansion(skill.name, text, self.rules(skill))
            if self._more is not None and (found := await self._more(name, arguments)):
                return found
        text = await self._with_files(prompt, prompt if typed is None else typed)
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
        variables = self._variables(skill)
        parts = filling.filled(body.strip(), arguments, variables, skill.arguments)
        pieces = [await self._output(p.text, skill) if p.command else p.text for p in parts]
        written = "\n".join(part.text for part in parts if not part.command)
        text = await self._with_files("".join(pieces), written)
        if skill.kind == "skill":
            text = f"Base directory of this skill: {skill.path.parent}\n\n{text}"
        return legible(text)

    def rules(self, skill: Skill) -> tuple[Rule, ...]:
        """Return what a skill allows while it is in use: its rules, and to read its own files.

        A rule that cannot be read allows nothing.
        """
        folder = skill.root if skill.kind == "skill" or skill.source.startswith("plugin ") else None
        own = () if folder is None else (Rule("Read", f"/{folder.as_posix()}/**"),)
        if not self._grants:
            return own
        variables = self._variables(skill)
        given = ["".join(p.text for p in filling.filled(r, "", variables)) for r in skill.allowed]
        return (*own, *_readable(given))

    def _variables(self, skill: Skill) -> dict[str, str]:
        agent = self._agent()
        return {
            "CLAUDE_SKILL_DIR": str(skill.path.parent),
            "CLAUDE_PLUGIN_ROOT": str(skill.root),
            "CLAUDE_PROJECT_DIR": str(agent.context.root),
            "CLAUDE_SESSION_ID": agent.session.id,
        }

    async def _with_files(self, text: str, written: str) -> str:
        """Put the files that `@` names in `written` behind a text, as far as they may be read."""
        parts = [text]
        for name in filling.files(written)[:_MOST_FILES]:
            if _is_folder(self._agent().context.root, name):
                given = {"pattern": "**/*", "path": name}
                found = await self._use("Glob", given, ())
                kind = "directory"
            else:
                found = await self._use("Read", {"file_path": name}, ())
                kind = "file"
            if found is not None and found.ok:
                inner = found.text.replace(f"</{kind}", f"< /{kind}")  # it ends where we say
                parts.append(f'<{kind} path="{name}">\n{inner}\n</{kind}>')
        return "\n\n".join(parts)

    async def _output(self, command: str, skill: Skill) -> str:
        found = await self._use("Bash", {"command": command}, self.rules(skill))
        if found is None:
            return f"[not run, for no rule allows it: {command}]"
        return found.text

    async def _use(
        self, tool: str, given: dict[str, Any], allow: tuple[Rule, ...]
    ) -> "_Came | None":
        """Use a tool as the agent would; None where it must not be."""
        agent = self._agent()
        checked = check(ToolUseBlock("", tool, given), {}, agent.tools, agent.context)
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


def listing(skills: Mapping[str, Skill]) -> tuple[str, list[str]]:
    """Return the skills as the model is told of them, and what a person should know of the list."""
    lines = [line_of(skill) for skill in skills.values() if skill.by_model and not skill.globs]
    if sum(len(line) + 1 for line in lines) <= LISTED:
        return "\n".join(lines), []
    room = max(LISTED // len(lines) - 1, 1)
    cut = [line if len(line) <= room else f"{line[: room - 1]}…" for line in lines]
    names = [line.partition(": ")[0] for line in lines]
    kept = [max(line, name, key=len) for line, name in zip(cut, names, strict=True)]
    return "\n".join(kept), [
        f"the descriptions of {len(lines)} skills are cut to {LISTED:,} characters in all"
    ]


def line_of(skill: Skill) -> str:
    """Return a skill as the model is told of it."""
    return f"- {skill.name}: {skill.description}"


def _is_folder(root: Path, name: str) -> bool:
    try:
        return (root / Path(name).expanduser()).is_dir()
    except (OSError, RuntimeError, ValueError):
        return False


def _readable(texts: Iterable[str]) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for text in texts:
        try:
            found += parse_rules([text])
        except BadRule:
            continue
    return tuple(found)
