"""Transcripts of other programs, turned into traces: one module per format.

To add a format, write a module with `read(source, notes)` that tells a `session.Session` what
happened, and enter it in `FORMATS`. `docs/import.md` says what becomes of what.
"""

import importlib
from typing import Protocol, cast

from ccpa.importers.notes import Notes
from ccpa.importers.reading import Source
from ccpa.importers.session import Imported

FORMATS = {
    "claude-code": "session transcripts that Claude Code keeps in ~/.claude/projects",
    "claude-stream-json": "output of `claude -p --output-format stream-json --verbose`",
    "codex": "rollouts that Codex keeps in ~/.codex/sessions",
    "openai-chat": "message lists of OpenAI chat completions: JSON, or one list a line",
    "mini-swe-agent": "trajectories of mini-swe-agent (.traj.json)",
    "atif": "Agent Trajectory Interchange Format, as Harbor writes it",
}


class Importer(Protocol):
    """What a module of this package that reads a format offers."""

    def read(self, source: Source, notes: Notes) -> list[Imported]:
        """Return the sessions of a file.

        Raises:
            CcpaError: the file is not of this format; the message begins with its name.
            OSError: it could not be read.
        """


def load(name: str) -> Importer:
    """Import the module that reads a format, whose name is a key of `FORMATS`."""
    module = importlib.import_module(f"ccpa.importers.{name.replace('-', '_')}")
    return cast("Importer", module)
