"""Any other agent, as a TOML file describes it (`docs/replay.md` has an example).

In its texts `{prompt}`, `{cwd}`, `{home}`, `{trace}`, `{base_url}`, `{host}` (the base URL without
`/v1`), `{model}` and `{key}` stand for those of the task. Any other braces stay as they are.
"""

import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from ccpa.agents.base import KEY, Command, Task, Wire, environment, host, only_prompt
from ccpa.errors import CcpaError
from ccpa.scripted.adapt import Offered

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_BRACES = re.compile(r"\{(\w+)\}")


class _Tool(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    inputs: dict[str, str] = {}


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    command: tuple[str, ...]
    wire: Wire = "chat"
    environment: dict[str, str] = {}
    files: dict[str, str] = {}
    tools: dict[str, _Tool] = {}


class Generic(Struct, frozen=True, kw_only=True):
    """An agent of a file. It writes a trace if `{trace}` stands in its command or environment."""

    name: str
    wire: Wire
    argv: tuple[str, ...]
    variables: Mapping[str, str]
    files: Mapping[str, str]
    tools: Mapping[str, Offered]

    @property
    def writes_trace(self) -> bool:
        """Whether it is told where its trace goes."""
        return any("{trace}" in text for text in (*self.argv, *self.variables.values()))

    def command(self, task: Task) -> Command:
        """Fill in the task."""
        values = {
            "prompt": only_prompt(task, self.name),
            "cwd": task.cwd,
            "home": str(task.home),
            "trace": str(task.trace),
            "base_url": task.base_url,
            "host": host(task.base_url),
            "model": task.model,
            "key": KEY,
        }

        def filled(text: str) -> str:
            return _BRACES.sub(lambda found: values.get(found[1], found[0]), text)

        program = filled(self.argv[0])
        if shutil.which(program) is None:
            raise CcpaError(f"{program} was not found; {self.name} starts with it")
        return Command(
            argv=tuple(map(filled, self.argv)),
            environment=environment(task, **{k: filled(v) for k, v in self.variables.items()}),
            files={Path(filled(path)): filled(text) for path, text in self.files.items()},
        )


def load(path: Path) -> Generic:
    """Read the file that describes an agent.

    Raises:
        CcpaError: it cannot be read, or does not describe one.
    """
    try:
        file = msgspec.convert(tomllib.loads(path.read_text()), _File)
    except (OSError, ValueError) as error:  # ValueError: of TOML, UTF-8 and msgspec alike
        raise CcpaError(f"{path}: {error}") from None
    if not _NAME.fullmatch(file.name):
        raise CcpaError(f"{path}: name: {file.name!r} is not kebab case (a-z, 0-9, -)")
    if not file.command:
        raise CcpaError(f"{path}: command: is empty")
    for place in file.files:
        if not place.startswith("{home}/") or ".." in Path(place).parts:
            raise CcpaError(f"{path}: files: {place!r} is not below {{home}}/")
    return Generic(
        name=file.name,
        wire=file.wire,
        argv=file.command,
        variables=file.environment,
        files=file.files,
        tools={recorded: Offered(tool.name, tool.inputs) for recorded, tool in file.tools.items()},
    )
