"""What a person is asked before a tool runs, and what they may answer."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from apr.agent.permissions import Mode, Rule
from apr.tools.base import Access
from ccpa.trace import ToolUseBlock


class Question(Struct, frozen=True, kw_only=True):
    """A tool use that needs consent."""

    call: ToolUseBlock
    access: Access
    reason: str
    """Why it is not simply allowed."""


class Answer(Struct, frozen=True, kw_only=True):
    """What the person said."""

    allow: bool
    message: str = ""
    """What the model is told where it is not allowed: what to do instead, perhaps."""
    updated_input: dict[str, Any] | None = None
    """The input as the person changed it."""
    rules: tuple[Rule, ...] = ()
    """What is allowed from now on without asking, in this session."""
    mode: Mode | None = None
    """The permission mode from now on."""
    interrupt: bool = False
    """Whether the whole run ends here."""


Asker = Callable[[Question], Awaitable[Answer]]
