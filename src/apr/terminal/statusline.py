"""The line at the bottom: model, mode, how full the context is, and what is going on."""

from collections.abc import Callable

from apr.assembly import Assembled
from apr.terminal.consent import CHOICES, Consent
from apr.terminal.screen import Screen
from apr.ui.terminal import line


class StatusLine:
    """Says how things stand."""

    def __init__(
        self, assembled: Assembled, screen: Screen, consent: Consent, vim_mode: Callable[[], str]
    ) -> None:
        self._agent = assembled.agent
        self._vim_mode = vim_mode
        self._screen = screen
        self._consent = consent

    def __call__(self) -> str:
        """Return the line as it is now."""
        if self._consent.waits:
            return CHOICES
        used = self._screen.usage.input_tokens + self._screen.usage.output_tokens
        size = self._agent.provider.context
        full = f" · {used * 100 // size} % of the context" if size else f" · {used:,} tokens"
        doing = f" · {self._screen.doing}…" if self._screen.doing else ""
        vim = f"{self._vim_mode()} · " if self._vim_mode() else ""
        return line(
            f"{vim}{self._agent.session.model} · {self._agent.gate.policy.mode}{full}{doing}"
        )
