"""A chat on a terminal, line by line."""

import asyncio
import contextlib
import sys

import msgspec

from apr.agent.events import TextDelta
from apr.answer import Answered, ask
from apr.legible import legible
from apr.providers.base import (
    AssistantMessage,
    Message,
    ModelEvent,
    Provider,
    ProviderError,
    Request,
    UserMessage,
)
from apr.ui.answer import AnswerPrinter, figures
from ccpa.trace import TextBlock

PROMPT = "> "
HELP = "/exit or Ctrl-D ends the chat, Ctrl-C ends an answer, /clear forgets what was said"


class Chat:
    """Reads prompts, shows answers, and keeps both.

    Args:
        provider: the wire to the model; closed at the end.
        asked: how it is asked, without messages.
    """

    def __init__(self, provider: Provider, asked: Request) -> None:
        self._provider = provider
        self._asked = asked
        self._history: tuple[Message, ...] = ()
        self._printer = AnswerPrinter(sys.stdout, sys.stderr)
        self._said = ""

    def talk(self) -> None:
        """Talk until the person has enough. A failure of the model ends an answer, not the chat."""
        self._printer.aside(HELP)
        with asyncio.Runner() as runner:
            while (prompt := self._read()) is not None:
                if prompt == "/clear":
                    self._history = ()
                elif prompt.startswith("/") and " " not in prompt and prompt.count("/") == 1:
                    self._printer.aside(HELP)
                elif prompt.strip():
                    self._answer(runner, prompt)
            runner.run(self._provider.close())

    def _read(self) -> str | None:
        """Return the next prompt, None if there is none any more."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - editing and history for input()
        try:
            if sys.stdout.isatty():
                line = input(PROMPT)
            else:  # the answers go elsewhere, and should be all that does
                self._printer.invite(PROMPT)
                line = input()
        except EOFError:
            self._printer.note("")
            return None
        except KeyboardInterrupt:
            self._printer.note("")
            return ""
        line = legible(line)
        return None if line.strip() in ("/exit", "/quit") else line

    def _answer(self, runner: asyncio.Runner, prompt: str) -> None:
        messages = (*self._history, UserMessage(prompt))
        self._said = ""
        try:
            answered = runner.run(self._ask(messages))
        except KeyboardInterrupt:  # the runner has cancelled the answer, and so the generation
            self._printer.note("(cancelled)")
            if self._said:  # it is in front of the person, so the model should know of it
                said = AssistantMessage((TextBlock(self._said),))
                self._history = (*messages, said)
            return
        except ProviderError as error:
            self._printer.note(f"apr: {error}")
            return
        self._printer.aside(figures(answered))
        completion = answered.completion
        self._history = (*messages, AssistantMessage(completion.blocks, completion.raw))

    async def _ask(self, messages: tuple[Message, ...]) -> Answered:
        request = msgspec.structs.replace(self._asked, messages=messages)
        return await ask(self._provider, request, self._show)

    def _show(self, event: ModelEvent) -> None:
        if isinstance(event, TextDelta):
            self._said += event.text
        self._printer(event)
