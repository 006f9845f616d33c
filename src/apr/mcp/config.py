"""Which MCP servers are configured, by whom, and how each is reached.

Form and precedence are those of Claude Code's documentation (code.claude.com/docs/en/mcp). The
organisation's `managed-mcp.json` stands alone; else the command line beats the local scope, that
the project's `.mcp.json`, that the user's own files, those the plugins.
"""

import errno
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from apr.errors import AprError
from apr.patterns import Pattern
from apr.settings import MANAGED, SOURCES, user_folders
from apr.ui.terminal import line

Scope = Literal["plugin", "user", "project", "local", "flag", "managed"]
Kind = Literal["stdio", "http", "sse", "sdk"]

_LARGEST = 64 << 20
"""Bytes of a file. Claude Code keeps histories in the file that holds its servers."""
_VARIABLE = Pattern(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")
_KINDS: dict[str, Kind] = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamableHttp": "http",
    "sse": "sse",
    "sdk": "sdk",
}


class McpConfigError(AprError):
    """A file of MCP servers that cannot be used."""


class Entry(Struct, frozen=True, omit_defaults=True):
    """One server, as it is written. Further keys are left alone."""

    type: str | None = None
    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    url: str | None = None
    headers: dict[str, str] = {}
    timeout: int | None = None
    """Milliseconds that a call of one of its tools may take."""


class Server(Struct, frozen=True, kw_only=True):
    """A server that can be talked to: every variable has its value."""

    name: str
    scope: Scope
    source: str
    """The file, option or plugin that configures it."""
    kind: Kind
    command: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    url: str = ""
    headers: dict[str, str] = {}
    timeout_s: float | None = None

    @property
    def address(self) -> str:
        """How people write where it is. Shows neither environment nor headers."""
        return self.url or " ".join([self.command, *self.args])


class Configured(Struct, frozen=True):
    """What the files say. `notices` is what a person should know of them."""

    servers: tuple[Server, ...] = ()
    notices: tuple[str, ...] = ()
    switched_off: frozenset[str] = frozenset()
    """Servers that the user has turned off for this project, in Claude Code's own file."""
    approved: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()
    """The project's servers that the user has approved or rejected there."""


class _Project(Struct, frozen=True, rename="camel"):
    mcp_servers: dict[str, Any] = {}
    disabled_mcp_servers: tuple[str, ...] = ()
    enabled_mcpjson_servers: tuple[str, ...] = ()
    disabled_mcpjson_servers: tuple[str, ...] = ()


class _File(Struct, frozen=True, rename="camel"):
    mcp_servers: dict[str, Any] = {}
    projects: dict[str, msgspec.Raw] = {}


class Source(Struct, frozen=True):
    """Servers as one source gives them: name to entry."""

    scope: Scope
    name: str
    servers: Mapping[str, Any]


def load(
    root: Path,
    env: Mapping[str, str],
    *,
    flags: Sequence[str] = (),
    strict: bool = False,
    plugins: Sequence[Source] = (),
    sources: Sequence[str] = SOURCES,
    managed: Sequence[Path] = MANAGED,
) -> Configured:
    """Return the servers of a project.

    Args:
        root: the project, absolute.
        env: what `${VAR}` stands for; also tells where the user's own files are.
        flags: of `--mcp-config`: files, or JSON objects as they stand.
        strict: whether those of `flags` are all there are.
        plugins: what plugins bring.
        sources: whose files are read, of user, project and local.
        managed: the folders of the organisation's policy. Only tests name others.

    Raises:
        McpConfigError: a file cannot be used; the message says which, and where in it.
    """
    for folder in managed:
        path = folder / "managed-mcp.json"
        if (file := _read(path)) is not None:
            return _settled([Source("managed", str(path), file.mcp_servers)], env)
    found: list[Source] = []
    personal = _Project()
    if not strict:
        found += plugins
        personal = _from_files(root, env, sources, found)
    found += [_flag(given) for given in flags]
    settled = _settled(found, env)
    return msgspec.structs.replace(
        settled,
        switched_off=frozenset(personal.disabled_mcp_servers),
        approved=frozenset(personal.enabled_mcpjson_servers),
        rejected=frozenset(personal.disabled_mcpjson_servers),
    )


def own_file(env: Mapping[str, str]) -> Path:
    """Return apr's own file of the user's servers, those of a single project too."""
    return user_folders(env)[1] / "mcp.json"


def _from_files(
    root: Path, env: Mapping[str, str], sources: Sequence[str], found: list[Source]
) -> _Project:
    """Add what the user's and the project's files say; return the user's word on this project."""
    claude = _claude_file(env)
    users = {path: _read(path) for path in (claude, own_file(env))}
    locals_ = {path: _project(path, file, root) for path, file in users.items() if file is not None}
    if "user" in sources:
        found += [Source("user", str(p), f.mcp_servers) for p, f in users.items() if f is not None]
    if "project" in sources:
        for path in (root / ".mcp.json", root / ".apr" / "mcp.json"):
            if path not in users and (file := _read(path)) is not None:
                found.append(Source("project", str(path), file.mcp_servers))
    if "local" in sources:
        found += [Source("local", str(p), project.mcp_servers) for p, project in locals_.items()]
    return locals_.get(claude, _Project())


def _claude_file(env: Mapping[str, str]) -> Path:
    folder = user_folders(env)[0]
    return (folder if env.get("CLAUDE_CONFIG_DIR") else folder.parent) / ".claude.json"


def _project(path: Path, file: _File, root: Path) -> _Project:
    raw = file.projects.get(str(root))
    if raw is None:
        return _Project()
    try:
        return msgspec.json.decode(raw, type=_Project)
    except msgspec.ValidationError as error:
        raise McpConfigError(f"{path}: projects.{root}: {error}") from None


def _flag(given: str) -> Source:
    if given.lstrip().startswith("{"):
        content = given.encode(errors="surrogateescape")
        return Source("flag", "--mcp-config", _parse(content, "--mcp-config").mcp_servers)
    path = Path(given).expanduser().absolute()
    if (file := _read(path)) is None:
        raise McpConfigError(f"--mcp-config: there is no file {path}")
    return Source("flag", str(path), file.mcp_servers)


def _read(path: Path) -> _File | None:
    """Return what a file says, None where there is none. A pipe or a device does not stop us."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise McpConfigError(f"{path}: it is not a file")
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}:
            return None  # a sandbox puts a folder where no file may be made
        raise McpConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(content) > _LARGEST:
        raise McpConfigError(f"{path}: it is larger than {_LARGEST} bytes")
    return _parse(content, str(path))


def _parse(content: bytes, name: str) -> _File:
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return msgspec.json.decode(content, type=_File)
    except msgspec.ValidationError as error:
        raise McpConfigError(f"{name}: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise McpConfigError(f"{name}{_position(content, error)}") from None


def _position(content: bytes, error: Exception) -> str:
    import json  # says where, which msgspec does not

    try:
        json.loads(content)
    except json.JSONDecodeError as found:
        return f":{found.lineno}:{found.colno}: not valid JSON: {found.msg.lower()}"
    except (ValueError, RecursionError):
        pass
    return f": not valid JSON: {error}"


def _settled(sources: Sequence[Source], env: Mapping[str, str]) -> Configured:
    """Let the strongest source of each name have it. One that cannot be used is told, and left."""
    servers: dict[str, Server] = {}
    notices: dict[str, str] = {}
    for source in sources:
        for name, given in source.servers.items():
            servers.pop(name, None)
            notices.pop(name, None)
            try:
                servers[name] = _server(name, given, source, env)
            except ValueError as error:
                notices[name] = line(f"MCP server {name} ({source.name}) is not used: {error}")
    return Configured(tuple(servers.values()), tuple(notices.values()))


def _server(name: str, given: Any, source: Source, env: Mapping[str, str]) -> Server:
    """Return a server as it is meant.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        entry = msgspec.convert(given, Entry)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    kind = meant(entry)
    url = expand(entry.url or "", env) if kind in {"http", "sse"} else ""
    if kind in {"http", "sse"} and not re.match(r"https?://[^/]", url):
        raise ValueError(f"its url {url!r} does not begin with http:// or https://")
    return Server(
        name=name,
        scope=source.scope,
        source=source.name,
        kind=kind,
        command=expand(entry.command or "", env),
        args=tuple(expand(arg, env) for arg in entry.args),
        env={key: expand(value, env) for key, value in entry.env.items()},
        url=url,
        headers={key: expand(value, env) for key, value in entry.headers.items()},
        timeout_s=None if entry.timeout is None else entry.timeout / 1000,
    )


def meant(entry: Entry) -> Kind:
    """Return how a server is reached, whatever its variables stand for.

    Raises:
        ValueError: it cannot be.
    """
    kind = _KINDS.get(entry.type or ("http" if entry.url and not entry.command else "stdio"))
    if kind is None:
        raise ValueError(f"the type {entry.type!r} is not known: stdio, http and sse are")
    if kind == "stdio" and not entry.command:
        raise ValueError("it has no command")
    if kind in {"http", "sse"} and not entry.url:
        raise ValueError("it has no url")
    if entry.timeout is not None and entry.timeout <= 0:
        raise ValueError("its timeout must be above zero (milliseconds)")
    return kind


def expand(text: str, env: Mapping[str, str]) -> str:
    """Put variables' values in for `${VAR}` and `${VAR:-default}`, once: values stay as they are.

    As in a shell, the default also stands for an empty value.

    Raises:
        ValueError: a variable without a default is not set.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = env.get(name) or default
        if found is None and name not in env:
            raise ValueError(f"the variable {name} is not set")
        return found or ""

    return _VARIABLE.sub(value, text)
