"""The user's own kinds of subagents: a Markdown file each, or JSON on the command line."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from apr.errors import AprError
from apr.legible import legible
from apr.memory.reading import Unreadable, markdown_in, text_of
from apr.skills import frontmatter
from apr.skills.found import Place
from apr.subagents.kinds import Kind


class _Given(Struct, kw_only=True):
    """One kind in the JSON of `--agents`."""

    description: str
    prompt: str
    tools: tuple[str, ...] | None = None
    model: str | None = None


def read(places: Iterable[Place]) -> tuple[dict[str, Kind], list[str]]:
    """Return the kinds in the `agents` folders, the first of each name, and what is wrong."""
    kinds: dict[str, Kind] = {}
    notices: list[str] = []
    for place in places:
        folder = place.folder / "agents"
        for path in markdown_in(folder) if folder.is_dir() else ():
            try:
                kind = _kind(path, text_of(path), place.prefix)
            except (OSError, Unreadable, ValueError) as error:
                notices.append(f"{path} is not used: {error}")
            else:
                kinds.setdefault(kind.name, kind)
    return kinds, notices


def given(text: str) -> dict[str, Kind]:
    """Return the kinds that `--agents` defines.

    Raises:
        AprError: it is not what it should be; the message says where.
    """
    try:
        found = msgspec.json.decode(text, type=dict[str, _Given])
    except msgspec.MsgspecError as error:
        raise AprError(f"--agents: {error}") from None
    return {
        name: Kind(
            name=name,
            description=legible(agent.description),
            prompt=legible(agent.prompt),
            tools=agent.tools,
            model=agent.model,
            source="--agents",
        )
        for name, agent in found.items()
    }


def _kind(path: Path, text: str, prefix: str) -> Kind:
    head, body = frontmatter.split(text)
    description = frontmatter.text_in(head, "description")
    if not description:
        raise ValueError("it has no description, so nobody would know when to use it")
    return Kind(
        name=legible(prefix + (frontmatter.text_in(head, "name") or path.stem)),
        description=legible(description),
        prompt=legible(body.strip()) or None,
        tools=frontmatter.names_in(head, "tools"),
        model=frontmatter.text_in(head, "model") or None,
        source=str(path),
    )
