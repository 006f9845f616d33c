"""What a tool is: its schema, what it needs permission for, what it does.

A tool is a module with one class that satisfies `Tool`. The agent checks the input against `Input`,
asks the permission policy about `access(...)`, and only then awaits `run(...)`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import msgspec
from msgspec import Struct

from apr.agent.events import Event
from apr.providers.base import Image
from apr.tools.errors import ToolError as ToolError
from apr.tools.files import Disk, FileLedger, Storage
from apr.tools.shells import Shells
from ccpa.trace import Record

InputT = TypeVar("InputT", bound=Struct, contravariant=True)


class Access(Struct, frozen=True, kw_only=True):
    """What a tool use wants to touch, for the permission policy to decide on.

    `paths` are resolved (symbolic links followed). `command` is the shell text of an `execute`, and
    `cwd` the folder it starts in, where that is not the project's root. `domain` is the host that
    a `network` asks: in lower case, without a dot at its end; None for the user's own search
    service. `consent` touches nothing, but a person must agree in any mode.
    """

    kind: Literal["read", "write", "execute", "network", "consent", "none"]
    paths: tuple[Path, ...] = ()
    command: str | None = None
    cwd: Path | None = None
    domain: str | None = None
    name: str | None = None
    """The kind of agent, or the skill and its arguments, that a rule may name."""
    reserved: tuple[str, ...] = ()
    """Fields of the input that are for the person to fill in: no call may come with them."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What a tool use came to. `content` is the text for the model, already bounded."""

    content: str
    ok: bool = True
    files_read: tuple[Path, ...] = ()
    files_written: tuple[Path, ...] = ()
    exit_code: int | None = None
    truncated: bool = False
    full_sha256: str | None = None
    """Digest of the whole output as UTF-8, where `content` holds only a part of it."""
    directory: Path | None = None
    """Where Bash is from now on, if that changed."""
    images: tuple[Image, ...] = ()
    """Pictures for the model to see, which must be able to."""
    records: tuple[Record, ...] = ()
    """What else happened with it, for the trace: a skill that is in use now."""


class Context(Struct, kw_only=True):
    """What a tool knows of the session, and of the call that it runs for."""

    root: Path
    """The project: resolved, absolute."""
    cwd: Path
    """Where Bash is."""
    files: FileLedger
    """Which files the model has seen, and as what."""
    shells: Shells
    """Shells that run in the background."""
    storage: Storage = Disk()
    """Where files are read and written."""
    hidden: tuple[str, ...] = ()
    """Files that a search must not look into: gitignore patterns, relative to the root."""
    call_id: str = ""
    """The tool use that this is for."""
    progress: Callable[[str], None] = lambda _text: None
    """Called with output as it comes; what it shows is for people only."""
    emit: Callable[[Event], None] = lambda _event: None
    """Called with what happens while the tool runs: the records of a subagent."""


class Tool(Protocol[InputT]):
    """One tool. Instances hold no state of a session: that is in the `Context`."""

    name: ClassVar[str]
    description: ClassVar[str]
    Input: type[Any]
    """A msgspec Struct: the input's schema, with `Meta(description=...)` on what is not obvious."""
    read_only: ClassVar[bool]
    """Calls of such tools in one turn run concurrently: they do not interfere."""

    def access(self, call: InputT, context: Context) -> Access:
        """Say what this call would touch. Touches nothing itself."""
        ...

    async def run(self, call: InputT, context: Context) -> Outcome:
        """Do it.

        Raises:
            ToolError: it was refused before anything was done.
        """
        ...


class Verbatim(Struct, frozen=True):
    """The input of a tool whose schema is a stranger's: as the model gave it.

    Such a tool has that schema, a JSON Schema of type object, as its attribute `schema`.
    """

    arguments: dict[str, Any]


def parameters(tool: Tool[Any]) -> dict[str, Any]:
    """Return the tool's input as a compact JSON Schema, for the model's prompt."""
    if tool.Input is Verbatim:
        schema: dict[str, Any] = vars(tool)["schema"]
        return schema
    _, components = msgspec.json.schema_components([tool.Input], ref_template="{name}")
    return _compact(components[tool.Input.__name__], components)


def _compact(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """Drop what a small model does not need: titles, nulls, defaults it would only copy.

    What stands under a name among the components is put in its place: no server has those.
    """
    properties = {}
    for name, prop in schema["properties"].items():
        if prop.get("readOnly"):  # not for the model to give
            continue
        variants = [v for v in prop.pop("anyOf", [prop]) if v != {"type": "null"}]
        properties[name] = {**{k: v for k, v in prop.items() if k != "default"}, **variants[0]}
        properties[name].pop("default", None)
        if "items" in properties[name]:
            properties[name]["items"] = _inline(properties[name]["items"], components)
        if "enum" in properties[name]:  # chat templates print the type of every property
            properties[name]["type"] = "string"
    return {"type": "object", "properties": properties, "required": schema.get("required", [])}


def _inline(items: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    return _compact(components[items["$ref"]], components) if "$ref" in items else items
