"""Pictures that a person names: pasted, dropped on the window, or typed behind an `@`."""

import re
from collections.abc import Iterator
from pathlib import Path

from apr.agent.calls import Checked, check
from apr.agent.loop import Agent
from apr.errors import AprError
from apr.patterns import Pattern
from apr.terminal.chips import Picture
from apr.tools.errors import ToolError
from apr.tools.files import look
from apr.tools.images import LARGEST, kind_of
from apr.tools.paths import resolve
from ccpa.trace import ToolUseBlock

_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_LONGEST = 8_000
"""Characters of a paste that may be the paths of some files."""
_NAMED = Pattern(
    r"(?<![\w`@/.\\])@(?:\"(?P<quoted>[^\"\n]+)\""
    r"|(?P<plain>(?:\\[^\n]|[^\s\\\"'@])+?\.(?:png|jpe?g|gif|webp))(?!\w|\.\w))",
    re.IGNORECASE,
)
"""An `@path` in a line: `@shot.png`, `@"with spaces.png"`, `@with\\ spaces.png`, `@file:///a.png`."""


class NoPicture(AprError):
    """A picture that cannot be shown to the model. The message says which, and why."""


def is_picture(name: str) -> bool:
    """Whether a file that is called so should be a picture that models can be shown."""
    return name.lower().endswith(_SUFFIXES)


def named(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Yield where `@` names a picture in a line, and the path that is meant."""
    for match in _NAMED.finditer(text):
        written = match["quoted"] or match["plain"]
        path = _path(written if match["quoted"] else re.sub(r"\\(.)", r"\1", written))
        if is_picture(path):
            yield match, path


def dropped(pasted: str) -> list[str]:
    """Return the paths of pictures that a paste consists of; none where it is anything else.

    Terminals paste what is dropped on them: quoted, with backslashes before spaces, as it is, or as
    a URL; several with spaces or newlines between.
    """
    text = pasted.strip()
    if len(text) > _LONGEST or not is_picture(text.rstrip("'\"")):
        return []
    if "\n" not in text and text.startswith(("/", "~")) and _exists(text):
        return [text]
    import shlex

    try:
        words = text.split() if text.startswith("file:") else shlex.split(text)
    except ValueError:  # quotes that do not end: prose
        return []
    paths = [_path(word) for word in words]
    return paths if all(map(is_picture, paths)) else []


def load(name: str, agent: Agent) -> Picture:
    """Return the picture in a file.

    Args:
        name: its path; relative to the project.
        agent: whose rules say what must not be read.

    Raises:
        NoPicture: there is none, it is too large, or a rule forbids to read it.
    """
    use = ToolUseBlock("", "Read", {"file_path": name})
    checked = check(use, {}, agent.tools, agent.context)
    if not isinstance(checked, Checked) or agent.gate.decide(checked).behavior == "deny":
        raise NoPicture(f"{name}: the rules do not let the model have it")
    try:
        data = look(resolve(name, agent.context.root), name).data
    except FileNotFoundError:
        raise NoPicture(f"{name}: there is no such file") from None
    except (OSError, ToolError) as error:
        raise NoPicture(str(error)) from None
    return picture(data, name)


def picture(data: bytes | None, name: str) -> Picture:
    """Return the picture that some bytes are; None stands for too many of them.

    Raises:
        NoPicture: they are none, or too many.
    """
    if data is None or len(data) > LARGEST:
        raise NoPicture(f"{name}: larger than {LARGEST:,} bytes; make a smaller copy")
    kind = kind_of(data)
    if kind is None:
        raise NoPicture(f"{name}: no PNG, JPEG, GIF or WebP picture")
    return Picture(media_type=kind, content=data)


def _path(word: str) -> str:
    """Return the path that a URL of this machine means; what is none stays as it is."""
    if not word.startswith(("file:///", "file://localhost/")):
        return word
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(word).path)


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, no such ~user
        return False
