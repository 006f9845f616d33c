"""One settings file: found, read, checked. What is wrong is said with file, line and key."""

import errno
import os
import re
import stat
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from apr.errors import AprError
from apr.settings.schema import Schema, dotted

Rung = Literal["user", "project", "local", "flag", "managed"]

TRUST: dict[Rung, int] = {"project": 0, "local": 0, "user": 1, "flag": 1, "managed": 2}
"""Who wrote it: whoever made the project, the user, the organisation.

A local file is meant to be the user's own, but a repository can bring one along.
"""

_LARGEST = 1 << 20
_ERROR = r"(?s)(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?"
_STEP = r"\.([^.\[]+)|\[(\d+|\.\.\.)\]"


class SettingsError(AprError):
    """Settings that cannot be used."""


class Source(Struct, frozen=True):
    """Where a value comes from: a rung of the ladder, and the file, or the option, that set it."""

    rung: Rung
    name: str

    @property
    def trust(self) -> int:
        """How far it is believed; see `TRUST`."""
        return TRUST[self.rung]


class Layer(Struct, frozen=True):
    """What one source says: a JSON object that fits `Schema`."""

    source: Source
    data: dict[str, Any]


def read(path: Path, rung: Rung) -> Layer | None:
    """Return what a file says; None where there is none.

    Raises:
        SettingsError: it cannot be read, is no JSON object, or a value has the wrong type.
    """
    try:
        content = _content(path)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return None
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    return parse(content, Source(rung, str(path)))


def parse(content: bytes, source: Source) -> Layer:
    """Return what the content of a file says.

    Raises:
        SettingsError: as for `read`.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        data = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(content, source, error) from None
    try:
        msgspec.convert(data, Schema)
    except msgspec.ValidationError as error:
        path, what = _offender(data, error)
        where = f"{source.name}:{_line(content, path)}"
        key = dotted(tuple(map(str, path)))
        raise SettingsError(f"{where}: {key}: {what}") from None
    return Layer(source, data)


def _content(path: Path) -> bytes:
    """Read a regular file of a sane size; anything else, a pipe say, must not stop us."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        content = stream.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise OSError(errno.EFBIG, f"it is larger than {_LARGEST} bytes")
    return content


def _malformed(content: bytes, source: Source, error: Exception) -> SettingsError:
    import json  # says where, which msgspec does not

    try:
        json.loads(content)
    except json.JSONDecodeError as found:
        where = f"{source.name}:{found.lineno}:{found.colno}"
        key = _last_key(found.doc[: found.pos])
        near = f" (after the key {key})" if key else ""
        return SettingsError(f"{where}: not valid JSON: {found.msg.lower()}{near}")
    except UnicodeDecodeError as found:
        line = content.count(b"\n", 0, found.start) + 1
        return SettingsError(f"{source.name}:{line}: not UTF-8")
    except RecursionError:
        return SettingsError(f"{source.name}:1: nested too deeply")
    if isinstance(error, msgspec.ValidationError):
        return SettingsError(f"{source.name}:1: a settings file must hold a JSON object")
    return SettingsError(f"{source.name}:1: not valid JSON: {error}")  # NaN, which json lets pass


def _last_key(text: str) -> str | None:
    keys = re.findall(r'"((?:[^"\\\n]|\\.){1,80})"\s*:', text)
    return f'"{keys[-1]}"' if keys else None


def _offender(data: dict[str, Any], error: msgspec.ValidationError) -> tuple[list[str | int], str]:
    """Return the path of the value that is wrong, and what is wrong with it.

    Inside an object of free keys msgspec says `[...]` for the key: then each is tried alone.
    """
    match = re.fullmatch(_ERROR, str(error))
    what = match["what"] if match else str(error)
    path: list[str | int] = []
    for name, index in re.findall(_STEP, (match and match["path"]) or ""):
        if index == "...":
            holder = _at(data, path)
            key = next((key for key in holder if _wrong_alone(data, path, key)), None)
            if key is None:
                break
            path.append(key)
        else:
            path.append(int(index) if index else name)
    return path, what[:1].lower() + what[1:]


def _wrong_alone(data: dict[str, Any], path: list[str | int], key: str) -> bool:
    """Whether the file is still wrong when the object at `path` has this key alone."""
    try:
        msgspec.convert(_only(data, [*path, key]), Schema)
    except msgspec.ValidationError:
        return True
    return False


def _only(data: Any, path: list[str | int]) -> Any:
    """Return the object with nothing in it but what leads to `path`; arrays stay whole."""
    if not path:
        return data
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return [_only(data[step], rest)]
    if len(path) > 1 and isinstance(path[1], int):
        return {step: [_only(data[step][path[1]], path[2:])]}
    return {step: _only(data[step], rest)}


def _at(data: Any, path: list[str | int]) -> Any:
    for step in path:
        data = data[step]
    return data


def _line(content: bytes, path: list[str | int]) -> int:
    from apr.settings.locate import line_of

    return line_of(content.decode(), path)
