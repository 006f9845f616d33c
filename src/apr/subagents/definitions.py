"""The user's own kinds of subagents: a Markdown file each, or JSON on the command line."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct, field

from apr.agent.permissions import Mode
from apr.errors import AprError
from apr.legible import legible
from apr.memory.reading import Unreadable, text_of
from apr.skills import frontmatter
from apr.skills.found import Place
from apr.subagents.kinds import Kind

_UNUSED = ("hooks", "mcpservers", "memory")
"""What a file may say that would matter and is not done. What is only for show is passed over."""
_NOT_A_PLUGINS = ("permissionmode",)


class _Given(Struct, kw_only=True, rename="camel"):
    """One kind in the JSON of `--agents`."""

    description: str
    prompt: str
    tools: tuple[str, ...] | None = None
    disallowed_tools: tuple[str, ...] = ()
    model: str | None = None
    permission_mode: Mode | None = None
    max_turns: int | None = None
    skills: tuple[str, ...] = ()
    background: bool = False
    isolation: Literal["worktree"] | None = None
    omit_claude_md: bool = False
    hooks: dict[str, Any] = field(default_factory=dict)
    mcp_servers: Any = None


def ranked(places: Iterable[Place]) -> list[Place]:
    """Return the places in the order that counts for agents: the project's before the user's."""
    order = ("project", "user")
    return sorted(places, key=lambda p: order.index(p.source) if p.source in order else len(order))


def read(places: Iterable[Place]) -> tuple[dict[str, Kind], list[str]]:
    """Return the kinds in the `agents` folders, the first of each name, and what is wrong."""
    kinds: dict[str, Kind] = {}
    notices: list[str] = []
    for place in places:
        for path, _ in place.markdown(place.agents):
            try:
                if not place.holds(path):
                    raise ValueError("it leads out of the project")
                kind = _kind(path, text_of(path), place, notices)
            except (OSError, Unreadable, ValueError) as error:
                notices.append(f"{path} is not used: {error}")
            else:
                kinds.setdefault(kind.name, kind)
    return kinds, notices


def given(text: str) -> tuple[dict[str, Kind], list[str]]:
    """Return the kinds that `--agents` defines, and what is said of what has no effect.

    Raises:
        AprError: it is not what it should be; the message says where.
    """
    try:
        found = msgspec.json.decode(text, type=dict[str, _Given])
    except msgspec.MsgspecError as error:
        raise AprError(f"--agents: {error}") from None
    kinds = {name: _of_json(name, agent) for name, agent in found.items()}
    return kinds, [f"--agents: {line}" for n, a in found.items() for line in _of_no_effect(n, a)]


def _of_json(name: str, agent: _Given) -> Kind:
    return Kind(
        name=name,
        description=legible(agent.description),
        prompt=legible(agent.prompt) or None,
        tools=agent.tools,
        without=agent.disallowed_tools,
        mode=agent.permission_mode,
        own=True,
        turns=agent.max_turns,
        skills=agent.skills,
        background=agent.background,
        isolated=agent.isolation == "worktree",
        memory=not agent.omit_claude_md,
        model=agent.model,
        source="--agents",
    )


def _of_no_effect(name: str, agent: _Given) -> Iterator[str]:
    if agent.hooks:
        yield f"{name}: its hooks are not run"
    if agent.mcp_servers:
        yield f"{name}: its MCP servers are not started"


def _kind(path: Path, text: str, place: Place, notices: list[str]) -> Kind:
    head, body = frontmatter.split(text)
    description = frontmatter.text_in(head, "description")
    if not description:
        raise ValueError("it has no description, so nobody would know when to use it")
    idle = [key for key in _UNUSED if key in head]
    if place.prefix:
        idle += [key for key in _NOT_A_PLUGINS if key in head]
    notices += [f"{path}: {key}: of no effect here" for key in idle]
    name = frontmatter.text_in(head, "name") or path.stem
    return Kind(
        name=legible(place.prefix + "-".join(name.split())),
        description=legible(" ".join(description.split())),
        prompt=legible(body.strip()) or None,
        tools=frontmatter.names_in(head, "tools"),
        without=frontmatter.names_in(head, "disallowedtools") or (),
        mode=None if place.prefix else _mode(head, path, notices),
        own=place.source == "user",
        turns=frontmatter.number_in(head, "maxturns"),
        skills=frontmatter.names_in(head, "skills") or (),
        background=frontmatter.truth_in(head, "background", False),
        isolated=frontmatter.text_in(head, "isolation") == "worktree",
        memory=not frontmatter.truth_in(head, "omitclaudemd", False),
        model=frontmatter.text_in(head, "model") or None,
        source=str(path),
    )


def _mode(head: frontmatter.Head, path: Path, notices: list[str]) -> Mode | None:
    wanted = frontmatter.text_in(head, "permissionmode")
    found = next((mode for mode in get_args(Mode) if mode == wanted), None)
    if wanted and found is None:
        notices.append(f"{path}: permissionMode: there is no mode {wanted!r}")
    return found
