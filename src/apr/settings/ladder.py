"""The ladder of settings files, weakest first, and what comes of it."""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from apr.home import home, user_home
from apr.settings.files import Layer, Rung, SettingsError, Source, parse, read
from apr.settings.merge import combine, joined, leaves, without
from apr.settings.schema import WITHOUT_EFFECT, Path_, Schema, dotted, unknown
from apr.settings.trust import refusal, situation

State = Literal["set", "joined", "shadowed", "refused", "ignored", "unknown"]
"""What becomes of a value: it counts; it counts beside others; a stronger one counts; it is not
its source's to set; apr has no use for it; nobody knows the key."""

SOURCES: tuple[Rung, ...] = ("user", "project", "local")
"""What `--setting-sources` chooses among. Policy and command line always count."""

MANAGED: tuple[Path, ...] = (
    (Path("/Library/Application Support/ClaudeCode"), Path("/Library/Application Support/apr"))
    if sys.platform == "darwin"
    else (Path("/etc/claude-code"), Path("/etc/apr"))
)
"""The folders of the organisation's policy. No option and no variable moves them."""


class Entry(Struct, frozen=True):
    """One value of one source, and what becomes of it."""

    key: Path_
    value: Any
    source: Source
    state: State
    reason: str | None = None
    """Why it is refused."""


class Settings(Schema, frozen=True, kw_only=True):
    """What counts, and where every value comes from."""

    entries: tuple[Entry, ...] = ()
    """Every value of every source, weakest source first."""
    notices: tuple[str, ...] = ()
    """What a person should know."""

    def sources(self, *key: str) -> tuple[Source, ...]:
        """Return who has set what counts for this key, or for anything under it, weakest first."""
        found = [
            entry.source
            for entry in self.entries
            if entry.state in {"set", "joined"} and entry.key[: len(key)] == key
        ]
        return tuple(dict.fromkeys(found))

    def managed(self, *key: str) -> bool:
        """Whether the organisation's policy has set this key."""
        return any(source.rung == "managed" for source in self.sources(*key))


def load(
    root: Path,
    env: Mapping[str, str],
    *,
    flag_settings: str | None = None,
    sources: Collection[str] = SOURCES,
    managed: Sequence[Path] = MANAGED,
) -> Settings:
    """Return the settings for a project.

    Args:
        root: the project, absolute.
        env: tells where the user's own files are: `HOME`, `CLAUDE_CONFIG_DIR`, `APR_HOME`.
        flag_settings: of the command line: a file, or a JSON object as it stands.
        sources: which of `SOURCES` count.
        managed: the folders of the organisation's policy. Only tests name others.

    Raises:
        SettingsError: a file cannot be used; the message says which, the line and the key.
    """
    layers: list[Layer] = []
    seen: set[Path] = set()
    policy: list[Layer] = []
    for rung, path in files(root, env, managed):
        if rung != "managed" and (path in seen or rung not in sources):
            continue  # at home, the project's file is the user's own
        seen.add(path)
        layer = read(path, rung)
        if layer is not None:
            (policy if rung == "managed" else layers).append(layer)
    if flag_settings is not None:
        layers.append(_flag(flag_settings))
    layers += policy
    return settle(layers) if layers else Settings()


def files(
    root: Path, env: Mapping[str, str], managed: Sequence[Path] = MANAGED
) -> Iterator[tuple[Rung, Path]]:
    """Yield the files that are looked for, weakest first."""
    claude, apr = user_folders(env)
    yield "user", claude / "settings.json"
    yield "user", apr / "settings.json"
    for name in (".claude", ".apr"):
        yield "project", root / name / "settings.json"
    for name in (".claude", ".apr"):
        yield "local", root / name / "settings.local.json"
    for folder in managed:
        yield "managed", folder / "managed-settings.json"
        for path in _drop_ins(folder / "managed-settings.d"):
            yield "managed", path


def user_folders(env: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the folders of the user's own files: Claude Code's, and apr's."""
    user = user_home(env)
    named = env.get("CLAUDE_CONFIG_DIR")
    claude = Path(named).expanduser().absolute() if named else user / ".claude"
    return claude, home(env)


def settle(layers: Sequence[Layer]) -> Settings:
    """Return what comes of sources, weakest first. Pure."""
    now = situation(layers)
    merged: dict[str, Any] = {}
    entries: list[Entry] = []
    for layer in layers:
        data, said = layer.data, list(_useless(layer))
        for entry in said:
            data = without(data, entry.key)
        for path, value in leaves(data):
            reason = refusal(path, value, layer.source, now)
            said.append(Entry(path, value, layer.source, "refused" if reason else "set", reason))
            if reason:
                data = without(data, path)
        merged = combine(merged, data)
        entries += said
    kept = msgspec.convert(merged, Schema)
    values = {name: getattr(kept, name) for name in Schema.__struct_fields__}
    return Settings(**values, entries=tuple(_judged(entries)), notices=tuple(_notices(entries)))


def _flag(given: str) -> Layer:
    if given.lstrip().startswith("{"):
        return parse(given.encode(errors="surrogateescape"), Source("flag", "--settings"))
    path = Path(given).expanduser().absolute()
    layer = read(path, "flag")
    if layer is None:
        raise SettingsError(f"--settings: there is no file {path}")
    return layer


def _drop_ins(folder: Path) -> list[Path]:
    try:
        found = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:  # a policy that cannot be read is not a policy that is not there
        raise SettingsError(f"{folder}: cannot be read: {error.strerror or error}") from None
    return [path for path in found if path.suffix == ".json" and not path.name.startswith(".")]


def _useless(layer: Layer) -> Iterator[Entry]:
    """Yield the keys that mean nothing here. Those inside lists are left where they are."""
    for path in unknown(layer.data):
        value: Any = layer.data
        for step in path:
            value = value[int(step)] if isinstance(value, list) else value[step]
        state: State = "ignored" if path[0] in WITHOUT_EFFECT else "unknown"
        yield Entry(path, value, layer.source, state)


def _judged(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Tell which of the values that were set count alone, beside others, or not at all."""
    last = {entry.key: index for index, entry in enumerate(entries) if entry.state == "set"}
    counts: dict[Path_, int] = {}
    for entry in entries:
        if entry.state == "set":
            counts[entry.key] = counts.get(entry.key, 0) + 1
    for index, entry in enumerate(entries):
        if entry.state == "set" and counts[entry.key] > 1:
            if isinstance(entry.value, list) and joined(entry.key):
                entry = msgspec.structs.replace(entry, state="joined")
            elif index != last[entry.key]:
                entry = msgspec.structs.replace(entry, state="shadowed")
        yield entry


def _notices(entries: Iterable[Entry]) -> Iterator[str]:
    for entry in entries:
        if entry.state == "refused":
            yield f"{entry.source.name}: {dotted(entry.key)} is not used: {entry.reason}"
        elif entry.key == ("apiKeyHelper",):
            yield f"{entry.source.name}: apiKeyHelper is not used: apr needs no such key"
