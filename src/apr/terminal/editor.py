"""The line that is being typed, in an editor of the person's choice."""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from apr.errors import AprError
from apr.legible import legible

_FALLBACKS = ("editor", "nano", "vi")


def command(env: Mapping[str, str] = os.environ) -> list[str]:
    """Return the words that start the editor: `$VISUAL`, `$EDITOR`, or what is installed.

    Raises:
        AprError: there is none.
    """
    for name in ("VISUAL", "EDITOR"):
        try:
            words = shlex.split(env.get(name, ""))
        except ValueError as error:
            raise AprError(f"${name} is no command: {error}") from None
        if words:
            return words
    found = next((name for name in _FALLBACKS if shutil.which(name)), None)
    if found is None:
        raise AprError("there is no editor: set EDITOR to the command that starts yours")
    return [found]


def edit(text: str) -> str:
    """Return what a person makes of a text in their editor. It has the terminal meanwhile.

    Raises:
        AprError: it could not be started, or failed: then nothing has changed.
    """
    words = command()
    try:
        with tempfile.TemporaryDirectory(prefix="apr-") as folder:  # for its owner's eyes only
            path = Path(folder, "prompt.md")
            path.write_text(f"{legible(text)}\n", "utf-8")  # as editors end files
            status = subprocess.run([*words, str(path)], check=False).returncode
            edited = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise AprError(f"{words[0]}: {error.strerror or error}") from None
    if status:
        raise AprError(f"{words[0]} ended with exit code {status}; what was typed is as it was")
    return legible(edited.removesuffix("\n"))
