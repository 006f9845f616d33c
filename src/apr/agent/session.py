"""What a session counts as it goes: its id, its turns, its tokens, its time."""

import asyncio
import datetime
import os
import time
from pathlib import Path

from apr import __version__
from apr.legible import legible
from ccpa.trace import FIRST_PROMPT_TURN, SessionEnd, SessionStart, SessionStop, Usage
from ccpa.workspace import snapshot, tree_of


def uuid7() -> str:
    """Return a new UUID version 7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then chance."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Session:
    """The books of one session. It opens and closes the trace and numbers its turns.

    Args:
        root: the project.
        model: the model's name, for the trace.
        permission_mode: the mode it starts in, for the trace.
        trace: the file the trace goes to, which is no part of the project; None where no trace is
            wanted, and then the working tree is not read at all.
        session_id: None for a new one.
        parent: the session that this one goes on from.
        turn: the number of the last message of what went before.
    """

    def __init__(
        self,
        root: Path,
        *,
        model: str,
        permission_mode: str,
        trace: Path | None,
        session_id: str | None = None,
        parent: str | None = None,
        turn: int = FIRST_PROMPT_TURN - 1,
    ) -> None:
        self.id = session_id or uuid7()
        # A trace takes version 7 only; who gives a session an id may choose any.
        self._trace_id = self.id if self.id[14:15] == "7" else uuid7()
        self.parent = parent
        self.root = root
        self.model = model
        self.permission_mode = permission_mode
        self.tokens_in = 0
        self.tokens_out = 0
        self.spent = 0
        """Tokens that were evaluated or generated: those in and out, but for cached ones."""
        self.turn = turn
        self._trace = trace
        self._started = time.monotonic()

    def child(self) -> "Session":
        """Return the books of a subagent: turns of its own, the same tokens."""
        return _Child(self)

    def next_turn(self) -> int:
        """Number the conversation's next message."""
        self.turn += 1
        return self.turn

    def count(self, usage: Usage) -> None:
        """Add what a model call cost."""
        self.tokens_in += usage.input_tokens
        self.tokens_out += usage.output_tokens
        self.spent += usage.input_tokens - usage.cache_read_tokens + usage.output_tokens

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the session began."""
        return int((time.monotonic() - self._started) * 1000)

    async def tree(self) -> str | None:
        """Name the working tree as it is now; None where no trace wants that, or it is gone.

        It is read in a thread: 50,000 files take seconds, in which other things must go on.
        """
        return None if self._trace is None else await asyncio.to_thread(self._tree, self._trace)

    def start(self, tree: str | None) -> SessionStart:
        """Return the trace's first record. `tree` names the working tree."""
        return SessionStart(
            v=1,
            session_id=self._trace_id,
            ts=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            actor="apr-code",
            model=self.model,
            cwd_sha256=tree or "0" * 64,
            agent_version=__version__,
            schema_version=3,
            cwd=legible(str(self.root)),
            permission_mode=self.permission_mode,
            parent_session_id=self.parent,
        )

    def end(self, stop_reason: SessionStop, error: str | None, tree: str | None) -> SessionEnd:
        """Return the trace's last record. `tree` names the working tree."""
        return SessionEnd(
            v=1,
            turn=max(self.turn, FIRST_PROMPT_TURN),
            stop_reason=stop_reason,
            elapsed_ms=self.elapsed_ms,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            cwd_sha256_after=tree,
            error=error,
        )

    def _tree(self, trace: Path) -> str | None:
        try:
            entries = dict(snapshot(self.root).entries)
        except OSError:
            return None
        if trace.is_relative_to(self.root):
            entries.pop(trace.relative_to(self.root).as_posix(), None)
        return tree_of(entries)


class _Child(Session):
    """What a subagent uses is counted where it was started."""

    def __init__(self, parent: Session) -> None:
        super().__init__(
            parent.root,
            model=parent.model,
            permission_mode=parent.permission_mode,
            trace=None,
            session_id=parent.id,
        )
        self._started_by = parent
        self.spent = parent.spent

    def count(self, usage: Usage) -> None:
        super().count(usage)
        self._started_by.count(usage)
        self.spent = self._started_by.spent  # the limit is one for all
