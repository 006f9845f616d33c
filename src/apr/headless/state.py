"""Whether a session works, waits for its program, or has nothing to do: told when it changes."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

State = Literal["idle", "running", "requires_action"]

_FOR_THE_SDK = "CLAUDE_CODE_SDK_READS_SESSION_STATE"
_FOR_ALL = "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS"
_NO = {"", "0", "false", "no", "off"}


class SessionState:
    """The state of one session.

    Args:
        env: the environment, which says whether it is told: the Agent SDKs ask for it there.
        write: writes a line of type `system`.
    """

    def __init__(self, env: Mapping[str, str], write: Callable[..., None]) -> None:
        asked = env.get(_FOR_ALL, "").lower() not in _NO
        self._told = asked or env.get(_FOR_THE_SDK, "").lower() not in _NO
        self._extra: dict[str, Any] = {} if asked else {"sdk_host_only": True}
        self._write = write
        self._state: State = "idle"

    def become(self, state: State) -> None:
        """Say what it is from now on, if it was something else."""
        if state == self._state:
            return
        self._state = state
        if not self._told:
            return
        with contextlib.suppress(OSError):  # nobody reads: what is shown next ends the run
            self._write("system", subtype="session_state_changed", state=state, **self._extra)
