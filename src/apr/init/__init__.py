"""`apr init`: a first `APR.md`, from what a project's own files say. No model is asked."""

import os
from contextlib import suppress
from pathlib import Path

from apr.errors import AprError
from apr.home import beside
from apr.init.describing import described
from apr.init.project import Project
from apr.tools.errors import ToolError

NAME = "APR.md"


def write(root: Path, *, force: bool = False) -> Path:
    """Write `APR.md` into a project, all of it or nothing, and return its path.

    Raises:
        AprError: there is one already and `force` is not given; or nothing is there to tell of; or
            it cannot be written.
    """
    path = root / NAME
    there = f"{path} is there already. --force replaces it, --stdout only shows what it would be."
    if not force and os.path.lexists(path):
        raise AprError(there)
    text = describe(root)
    new = beside(path)
    try:
        new.write_text(text, encoding="utf-8")
        if force:
            new.replace(path)
        else:
            _put(new, path)
    except FileExistsError:
        raise AprError(there) from None
    except OSError as error:
        raise AprError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
    return path


def describe(root: Path) -> str:
    """Return what `APR.md` is to say of a project, each line of it from a file that is there.

    Args:
        root: a directory, absolute and resolved.

    Raises:
        AprError: nothing in it says anything about it.
    """
    try:
        text = described(Project(root))
    except ToolError as error:  # there is no `rg`
        raise AprError(f"the files of {root} cannot be listed: {error}") from None
    if not text:
        raise AprError(f"nothing in {root} says what it is yet, so there is no {NAME} to write")
    return text


def _put(new: Path, path: Path) -> None:
    """Give a file its name, without replacing one that has come there meanwhile.

    Raises:
        FileExistsError: there is one.
        OSError: it cannot be done.
    """
    try:
        os.link(new, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with path.open("x", encoding="utf-8") as file:
            file.write(new.read_text(encoding="utf-8"))
