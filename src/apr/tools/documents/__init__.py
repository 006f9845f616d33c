"""Web pages and PDFs as text. Files of strangers are read by a process of its own, within bounds.

Such files can keep a parser busy for ever, or make it take all memory there is; a process can be
ended. `extract` starts one; `worker` is what it runs.
"""

import asyncio
import os
import sys
from typing import Literal

import msgspec
from msgspec import Struct

Kind = Literal["html", "pdf"]

SECONDS = 30.0
"""Time that a document may take."""
LONGEST = 1_000_000
"""Characters of a document that are kept."""


class Extract(Struct, frozen=True):
    """The text of a document. `problem` says why there is none, or less than there should be."""

    text: str
    problem: str = ""


async def extract(data: bytes, kind: Kind) -> Extract:
    """Return the text of a document.

    A page is Markdown, with its links. A PDF's pages each begin with a line `[page 1 of 9]`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # nothing is imported from the directory we are in
        "-m",
        "apr.tools.documents.worker",
        kind,
        cwd="/",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
        limit=1 << 20,
    )
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await process.communicate(data)
    except TimeoutError:
        return Extract("", f"it takes more than {SECONDS:.0f} s to read")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return msgspec.json.decode(said, type=Extract)
    except msgspec.DecodeError:  # killed by a limit, or by what it read
        return Extract("", "its reader has failed: it may be too large, or made to break readers")
