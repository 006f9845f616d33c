"""What a server offers, made fit to be shown to a model: every text and number is a stranger's."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from apr.ui.terminal import plain

MOST = 512
"""Tools, or prompts, or resources, that are taken of one server."""
LONGEST_NAME = 128
LONGEST_DESCRIPTION = 2_048
LARGEST_SCHEMA = 32 << 10
"""Bytes of a tool's input schema, as JSON."""
_DEEPEST = 24
_MOST_VALUES = 4_000
"""Values of a schema, and how deep they may be nested."""

_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")


class Offered(Struct, frozen=True):
    """A tool of a server. `schema` is a JSON Schema of type object."""

    name: str
    description: str
    schema: dict[str, Any]
    read_only: bool = False


class Argument(Struct, frozen=True):
    """What a prompt takes."""

    name: str
    required: bool = False


class Prompt(Struct, frozen=True):
    """A prompt of a server."""

    name: str
    description: str = ""
    arguments: tuple[Argument, ...] = ()


class Listing(Struct, frozen=True, kw_only=True):
    """What a server offers."""

    tools: tuple[Offered, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    resources: bool = False
    """Whether it has resources to list and read."""
    problems: tuple[str, ...] = ()
    """What of it is not used, and why."""


def full_name(server: str, name: str) -> str:
    """Return the name of a server's tool or prompt: `mcp__<server>__<name>`.

    What is no letter, digit, `_` or `-` becomes `_`, as in Claude Code, so that permission rules
    and hooks that are written for it fit.
    """
    return f"mcp__{_FOREIGN.sub('_', server)}__{_FOREIGN.sub('_', name)}"


def clean(text: str, most: int = LONGEST_DESCRIPTION) -> str:
    """Return a text of at most so many characters, all of which a person could see."""
    shown = _visible(text[: most + 1]).strip()
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _visible(text: str) -> str:
    """Make control characters visible and leave out marks: they can hide words from a person."""
    if text.isascii():
        return plain(text)
    return plain("".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cs", "Co"}))


def tools(server: str, given: Iterable[Mapping[str, Any]]) -> tuple[list[Offered], list[str]]:
    """Return the tools of a list that can be used, and what is wrong with the others."""
    taken: dict[str, Offered] = {}
    problems: list[str] = []
    for count, tool in enumerate(given):
        if count == MOST:
            problems.append(f"it lists more than {MOST} tools: the others are left out")
            break
        name = str(tool.get("name", ""))
        full = full_name(server, name)
        if not name or len(full) > LONGEST_NAME:
            problems.append(f"a tool's name is empty or too long: {clean(name, 60)!r}")
        elif full in taken:
            problems.append(f"two of its tools are called {full}: the first is used")
        elif (schema := _schema(tool.get("inputSchema"))) is None:
            problems.append(f"{full}: its input schema is too large or is none")
        else:
            hints = tool.get("annotations") or {}
            described = clean(str(tool.get("description") or tool.get("title") or ""))
            read_only = hints.get("readOnlyHint") is True
            taken[full] = Offered(name, described, schema, read_only)
    return list(taken.values()), problems


def prompts(server: str, given: Iterable[Mapping[str, Any]]) -> list[Prompt]:
    """Return the prompts of a list that can be used."""
    taken: dict[str, Prompt] = {}
    for count, prompt in enumerate(given):
        name = str(prompt.get("name", ""))
        full = full_name(server, name)
        if count < MOST and name and len(full) <= LONGEST_NAME:
            arguments = prompt.get("arguments") or ()
            taken.setdefault(
                full,
                Prompt(
                    name,
                    clean(str(prompt.get("description") or "")),
                    tuple(Argument(str(a["name"]), bool(a.get("required"))) for a in arguments),
                ),
            )
    return list(taken.values())


def _schema(given: Any) -> dict[str, Any] | None:
    """Return an input schema in the form that chat templates and our own messages rely on.

    None: it is no schema of an object, or too large.
    """
    if not isinstance(given, dict) or given.get("type", "object") != "object":
        return None
    properties = _Inliner(given.get("$defs") or given.get("definitions")).value(
        given.get("properties") or {}
    )
    if not isinstance(properties, dict):
        return None
    typed = {name: _typed(prop) for name, prop in properties.items()}
    required = [name for name in given.get("required") or () if name in typed]
    schema = {"type": "object", "properties": typed, "required": required}
    return schema if len(msgspec.json.encode(schema)) <= LARGEST_SCHEMA else None


class _Inliner:
    """Puts definitions in the place of what refers to them: a model reads no references."""

    def __init__(self, definitions: Any) -> None:
        self._definitions = definitions if isinstance(definitions, dict) else {}
        self._left = _MOST_VALUES

    def value(self, given: Any, depth: int = 0) -> Any:
        """Return a part of a schema without references. What never ends is `{}` from there on."""
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            return {}
        if isinstance(given, str):
            return _visible(given)
        if isinstance(given, list):
            return [self.value(item, depth + 1) for item in given]
        if not isinstance(given, dict):
            return given
        reference = given.get("$ref")
        if isinstance(reference, str):
            meant = self._definitions.get(reference.rpartition("/")[2])
            rest = {key: item for key, item in given.items() if key != "$ref"}
            return self.value({**(meant if isinstance(meant, dict) else {}), **rest}, depth + 1)
        return {_visible(key): self.value(item, depth + 1) for key, item in given.items()}


def _typed(prop: Any) -> dict[str, Any]:
    """Return a property that says its type where it has one: chat templates print that."""
    if not isinstance(prop, dict):
        return {}
    if "type" in prop:
        return prop
    variants = [v for key in ("anyOf", "oneOf") for v in prop.get(key) or () if isinstance(v, dict)]
    types = [v["type"] for v in variants if isinstance(v.get("type"), str) and v["type"] != "null"]
    if len(set(types)) == 1:
        return {"type": types[0], **prop}
    if prop.get("enum") and all(isinstance(value, str) for value in prop["enum"]):
        return {"type": "string", **prop}
    return prop
