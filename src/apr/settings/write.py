"""One value changed in a settings file; the rest of it stays."""

import os
from pathlib import Path
from typing import Any

import msgspec

from apr.home import beside
from apr.settings.files import Layer, SettingsError, Source, parse, read
from apr.settings.schema import Path_, dotted, unknown


def change(path: Path, key: Path_, given: str) -> Layer:
    """Set `key` in the file at `path`, which is made if need be, and return what it says now.

    Args:
        path: the file; where it is a link, what it leads to is changed.
        key: where the value goes.
        given: JSON; what is none, or does not fit as such, is a string.

    Raises:
        SettingsError: the file cannot be used, there is no such key, or the value does not fit.
        OSError: it cannot be written.
    """
    path = Path(os.path.realpath(path))
    layer = read(path, "user")
    data = layer.data if layer else {}
    source = Source("user", str(path))
    content, problem = b"", SettingsError(f"{dotted(key)}: no value")
    for value in _readings(given):
        changed = _put(data, key, value)
        if key in set(unknown(changed)):
            raise SettingsError(f"{dotted(key)}: there is no such key; docs/settings.md lists them")
        content = msgspec.json.format(msgspec.json.encode(changed), indent=2) + b"\n"
        try:
            layer = parse(content, source)
        except SettingsError as error:
            problem = SettingsError(str(error).partition(": ")[2])  # that file is not there
        else:
            replace(path, content)
            return layer
    raise problem


def _readings(given: str) -> list[Any]:
    try:
        return [msgspec.json.decode(given), given]
    except msgspec.DecodeError:
        return [given]


def _put(data: dict[str, Any], key: Path_, value: Any) -> dict[str, Any]:
    name, rest = key[0], key[1:]
    if not rest:
        return {**data, name: value}
    inner = data.get(name)
    return {**data, name: _put(inner if isinstance(inner, dict) else {}, rest, value)}


def replace(path: Path, content: bytes) -> None:
    """Write all of it, or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    new = beside(path)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
