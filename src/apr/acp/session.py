"""One session of an editor: prompts come in, what happens is told, a person is asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
from acp import Client, schema

from apr.acp.updates import called, updates
from apr.agent.asking import Answer, Question
from apr.agent.events import Event, PromptDone
from apr.agent.limits import MAX_TURNS
from apr.agent.loop import INTERRUPTED
from apr.agent.permissions import MODES, Mode, Rule
from apr.agent.prompt import Prompt
from apr.assembly import Assembled
from apr.providers.base import Image
from ccpa.trace import AssistantTurn, Usage

StopReason = Literal["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled"]

_MODES = {
    "default": ("Ask", "Asks before it changes files or runs commands"),
    "acceptEdits": ("Accept edits", "Changes files in the project without asking"),
    "plan": ("Plan", "Looks, and changes nothing"),
    "bypassPermissions": ("Bypass permissions", "Asks for nothing that no rule forbids"),
    "dontAsk": ("Don't ask", "Does what is allowed, and asks for nothing"),
}
_OPTIONS: tuple[tuple[str, str, schema.PermissionOptionKind], ...] = (
    ("once", "Allow", "allow_once"),
    ("session", "Allow for this session", "allow_always"),
    ("no", "Reject", "reject_once"),
)


class EditorSession:
    """Drives one agent for one editor."""

    def __init__(self, assembled: Assembled, client: Client) -> None:
        self.assembled = assembled
        self.usage = Usage(input_tokens=0, output_tokens=0)
        self._client = client
        self._prompts: asyncio.Queue[Prompt | None] = asyncio.Queue()
        self._done: asyncio.Future[PromptDone] | None = None
        self._agent = assembled.agent
        self._agent.gate.ask = self._ask
        self._outgoing: asyncio.Queue[Event | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._drive())
        self._telling = asyncio.create_task(self._tell_all())

    @property
    def id(self) -> str:
        """The session's id."""
        return self._agent.session.id

    def modes(self) -> schema.SessionModeState:
        """Return the permission modes there are, and which is on."""
        allowed = [mode for mode in MODES if mode != "bypassPermissions" or self._may_bypass()]
        return schema.SessionModeState(
            current_mode_id=self._agent.gate.policy.mode,
            available_modes=[
                schema.SessionMode(id=mode, name=_MODES[mode][0], description=_MODES[mode][1])
                for mode in allowed
            ],
        )

    def set_mode(self, mode: str) -> None:
        """Change the permission mode.

        Raises:
            ValueError: there is no such mode, or it may not be chosen.
        """
        if mode not in {one.id for one in self.modes().available_modes}:
            raise ValueError(f"there is no mode {mode!r}")
        gate = self._agent.gate
        gate.policy = msgspec.structs.replace(gate.policy, mode=msgspec.convert(mode, Mode))

    async def prompt(self, prompt: Prompt) -> StopReason:
        """Have the agent work on a prompt, and return how that ended.

        Raises:
            RuntimeError: it works on one already, or the work failed.
        """
        if self._done is not None and not self._done.done():
            raise RuntimeError("the session works on a prompt already")
        self._done = asyncio.get_running_loop().create_future()
        self._prompts.put_nowait(prompt)
        return _stop(await self._done)

    def cancel(self) -> None:
        """End the work on the prompt at hand."""
        if self._done is not None and not self._done.done():
            self._agent.interrupt()

    async def close(self) -> None:
        """End the session and all it has started."""
        self.cancel()
        self._prompts.put_nowait(None)
        await asyncio.wait([self._task])
        self._outgoing.put_nowait(None)
        await asyncio.wait([self._telling])
        await self.assembled.close()

    def _may_bypass(self) -> bool:
        return self._agent.gate.policy.mode == "bypassPermissions"

    async def _drive(self) -> None:
        """Run the session. Nothing is awaited here but the agent: that is what a cancel is for."""
        store = self.assembled.store
        try:
            events = self._agent.converse(
                self._each(), preface=self.assembled.preface, source=self.assembled.source
            )
            async for event in events:
                if store is not None:
                    store(event)
                self._outgoing.put_nowait(event)
        except BaseException as error:
            self._finish(PromptDone("error", f"the session has ended: {error}"))
            raise
        finally:
            if store is not None:
                store.close()

    def _finish(self, done: PromptDone) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(done)

    async def _tell_all(self) -> None:
        """Tell the editor what happens, in order."""
        while (event := await self._outgoing.get()) is not None:
            with contextlib.suppress(ConnectionError):  # the editor is gone: its work still ends
                await self._tell(event)

    async def _each(self) -> AsyncIterator[Prompt]:
        while (prompt := await self._prompts.get()) is not None:
            yield prompt

    async def _tell(self, event: Event) -> None:
        if isinstance(event, PromptDone):
            self._finish(event)
        if isinstance(event, AssistantTurn) and event.usage is not None:
            self.usage = Usage(
                input_tokens=self.usage.input_tokens + event.usage.input_tokens,
                output_tokens=self.usage.output_tokens + event.usage.output_tokens,
                cache_read_tokens=self.usage.cache_read_tokens + event.usage.cache_read_tokens,
            )
        for update in updates(event, self._agent.context.root):
            await self._client.session_update(session_id=self.id, update=update)

    async def _ask(self, question: Question) -> Answer:
        """Ask the person in the editor. Where the question is withdrawn, the run ends."""
        start = called(question.call, self._agent.context.root)
        response = await self._client.request_permission(
            session_id=self.id,
            tool_call=schema.ToolCallUpdate(**start.model_dump(exclude={"session_update"})),
            options=[
                schema.PermissionOption(option_id=id_, name=name, kind=kind)
                for id_, name, kind in _OPTIONS
            ],
        )
        outcome = response.outcome
        if not isinstance(outcome, schema.AllowedOutcome):
            return Answer(allow=False, interrupt=True)
        match outcome.option_id:
            case "once":
                return Answer(allow=True)
            case "session":
                return Answer(allow=True, rules=(_narrowest(question),))
            case _:
                return Answer(allow=False)


def _narrowest(question: Question) -> Rule:
    """Return the rule that allows just this again: the very command, or the tool."""
    command = question.access.command
    return Rule(question.call.name, command) if command else Rule(question.call.name)


def _stop(done: PromptDone) -> StopReason:
    if done.error is None:
        return "max_tokens" if done.stop_reason == "max_tokens" else "end_turn"
    if done.error == INTERRUPTED:
        return "cancelled"
    if done.error.startswith(MAX_TURNS):
        return "max_turn_requests"
    if done.stop_reason == "max_tokens":
        return "max_tokens"
    raise RuntimeError(done.error)


def prompt_of(blocks: list[Any]) -> Prompt:
    """Return a prompt's blocks as one: what a person wrote, and what the editor adds to it."""
    parts: list[str] = []
    images: list[Image] = []
    for block in blocks:
        match block:
            case schema.TextContentBlock(text=text):
                parts.append(text)
            case schema.ImageContentBlock(data=data, mime_type=media_type):
                images.append(Image(media_type, data))
            case schema.ResourceContentBlock(uri=uri):
                parts.append(f"@{uri.removeprefix('file://')}")
            case schema.EmbeddedResourceContentBlock(
                resource=schema.TextResourceContents(uri=uri, text=text)
            ):
                parts.append(f'<file path="{uri.removeprefix("file://")}">\n{text}\n</file>')
            case _:
                parts.append("[something that this model cannot be given]")
    return Prompt("\n\n".join(parts), tuple(images))
