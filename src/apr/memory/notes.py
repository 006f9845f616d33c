"""Instructions that come with the files an agent touches, each once."""

from pathlib import Path

import msgspec

from apr.agent.calls import Checked
from apr.memory.load import Memory, nested
from apr.memory.pieces import render
from apr.tools.base import Outcome


class Notes:
    """What one agent reads behind its tools' results; see `apr.agent.parts.Footnotes`.

    Args:
        memory: what it has read at the start. It is copied: each agent reads the rest for itself.
        budget: characters of the notes on one file.
    """

    def __init__(self, memory: Memory, budget: int) -> None:
        self._start = memory
        self._memory = _copy(memory)
        self._budget = budget

    def __call__(self, checked: Checked, outcome: Outcome) -> str:
        """Return the instructions for the files that a call has touched."""
        touched = (*outcome.files_read, *outcome.files_written)
        memory, budget = self._memory, self._budget
        return render(piece for path in touched for piece in nested(memory, path, budget=budget))

    def apart(self, root: Path) -> "Notes":
        """Return the notes of another agent, which works in the project or in a worktree of it."""
        project = self._start.bounds.root
        memory = _copy(self._start)
        if root != project:
            memory.bounds = msgspec.structs.replace(memory.bounds, root=root, top=root)
            memory.looked_into.add(root)  # it is the project's, which was read
            memory.waiting = [
                (_rebased(base, project, root), rule) for base, rule in memory.waiting
            ]
        return Notes(memory, self._budget)


def _rebased(base: Path, project: Path, root: Path) -> Path:
    return root / base.relative_to(project) if base.is_relative_to(project) else base


def _copy(memory: Memory) -> Memory:
    return msgspec.structs.replace(
        memory,
        pieces=list(memory.pieces),
        waiting=list(memory.waiting),
        notices=[],
        given=set(memory.given),
        looked_into=set(memory.looked_into),
    )
