"""What is completed: commands and their arguments behind `/`, files behind `@` and in `!` lines."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

from prompt_toolkit.application.current import get_app, get_app_or_none
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import (
    Condition,
    completion_is_selected,
    emacs_insert_mode,
    vi_insert_mode,
)
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from apr.terminal.arguments import ARGUMENTS, offered_behind
from apr.terminal.commands import COMMANDS, Desk
from apr.terminal.entries import beginning
from apr.terminal.file_index import FileIndex, sound
from apr.terminal.mentions import Typed, mention, shell_word
from apr.ui.terminal import line

_MOST = 50
"""Completions that are offered."""
_RECENT = 30
"""Files that the agent has seen that are put first, the last one before the others."""
_LOOK_AGAIN_S = 0.05
"""While files are still being listed: how often it is looked whether there are more."""
_SHOWN = 60
"""Characters of what is said about a completion."""
_ELSEWHERE = ("/", "~", "..")
"""How paths begin that lead out of the project."""


class InputCompleter(Completer):
    """Completes what is typed at the prompt.

    Args:
        desk: the session. The files of its project are listed when one is asked for.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._index = FileIndex(desk.root, desk.assembled.agent.context.hidden)
        self._looking = asyncio.Lock()
        self._answered = asyncio.Event()
        """Set where something is offered, or nothing is being looked for."""
        self._answered.set()

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Return nothing: only `get_completions_async` lets others work meanwhile."""
        return ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Yield what may stand in place of what is being typed, the likeliest first."""
        async with self._looking:
            self._answered.clear()
            try:
                async for completion in self._offered(document):
                    self._answered.set()
                    yield completion
            finally:
                self._answered.set()

    async def answered(self) -> None:
        """Wait until something is offered for what is typed, or nothing can be."""
        await asyncio.sleep(0)  # what has been asked for in this moment comes first
        await self._answered.wait()

    async def _offered(self, document: Document) -> AsyncIterator[Completion]:
        before, line_before = document.text_before_cursor, document.current_line_before_cursor
        if before.startswith("!"):
            found = self._shell(line_before)
        elif (typed := mention(line_before)) is not None:
            found = self._files(typed, document)
        elif before.startswith("/") and "\n" not in before:
            found = self._commands(before)
        else:
            return
        async for completion in found:
            yield completion

    async def _shell(self, before: str) -> AsyncIterator[Completion]:
        typed = shell_word(before.removeprefix("!"))
        if typed is not None:
            cwd = self._desk.assembled.agent.context.cwd
            for completion in _written(typed, await asyncio.to_thread(beginning, typed.path, cwd)):
                yield completion

    async def _files(self, typed: Typed, document: Document) -> AsyncIterator[Completion]:
        """Yield files of the project; those elsewhere, and ignored ones, as the path is typed."""
        offered = 0
        if not typed.path.startswith(_ELSEWHERE):
            async for name in self._named(typed.path, document):
                for completion in _written(typed, [name]):
                    yield completion
                    offered += 1
        if not offered and ("/" in typed.path or typed.path.startswith(_ELSEWHERE)):
            root = self._desk.root
            for completion in _written(typed, await asyncio.to_thread(beginning, typed.path, root)):
                yield completion

    async def _named(self, path: str, document: Document) -> AsyncIterator[str]:
        """Yield the names that fit: those that are known, and when all are listed, again."""
        self._index.refresh()
        recent = list(self._recent())
        offered: set[str] = set()
        searched = None
        while not _typed_on(document):
            complete, names = self._index.complete, self._index.names
            if complete and offered and names is not searched and _menu_again(document):
                return
            if names is not searched:
                searched = names
                for name in await names.search(path, recent=recent, most=_MOST):
                    if name not in offered:
                        offered.add(name)
                        yield f"./{name}" if name.startswith("~") else name  # no home directory
            if complete:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _recent(self) -> Iterator[str]:
        root = self._desk.root
        for path in self._desk.assembled.agent.context.files.recent()[:_RECENT]:
            if path.is_relative_to(root) and path.exists():
                name = str(path.relative_to(root))
                if sound(name):
                    yield name

    async def _commands(self, before: str) -> AsyncIterator[Completion]:
        name, space, typed = before[1:].partition(" ")
        if space:
            async for completion in self._arguments(name, typed):
                yield completion
            return
        offered = [one for one in self._callable() if _fits(one[0], name)]
        offered.sort(key=lambda one: (not one[0].startswith(name), one[0] != name))
        for called, usage, said in offered:
            text = f"/{called} " if called in ARGUMENTS else f"/{called}"
            shown = f"/{called} {line(usage)}".rstrip()
            yield Completion(text, -len(before), display=shown, display_meta=_short(said))

    async def _arguments(self, name: str, typed: str) -> AsyncIterator[Completion]:
        behind = await asyncio.to_thread(offered_behind, self._desk, name, typed)
        fitting = [
            (text, said)
            for text, said in behind
            if sound(text) and text != typed and (_fits(text, typed) or typed in said)
        ]
        fitting.sort(key=lambda one: not one[0].startswith(typed))
        for text, said in fitting[:_MOST]:
            yield Completion(text, -len(typed), display_meta=_short(said))

    def _callable(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, usage and description of what can be called, whoever it is from."""
        assembled = self._desk.assembled
        for name, command in COMMANDS.items():
            yield name, command.usage, command.description
        for skill in assembled.skills.values():
            if skill.by_user and sound(skill.name):
                yield skill.name, skill.argument_hint, skill.description
        for prompt in assembled.servers.prompts() if assembled.servers is not None else ():
            if sound(prompt.name):
                yield prompt.name, " ".join(prompt.arguments), prompt.description


@Condition
def while_typing() -> bool:
    """Whether completions are offered without being asked for: behind `@` and `/`."""
    document = get_app().current_buffer.document
    before = document.text_before_cursor
    if before.startswith("/"):
        return "\n" not in before
    typed = mention(document.current_line_before_cursor)
    return not before.startswith("!") and typed is not None


def bindings(completer: InputCompleter) -> KeyBindings:
    """Return what the keys of completion do where it is more than `prompt_toolkit` has them do."""
    keys = KeyBindings()

    @keys.add("tab", filter=emacs_insert_mode | vi_insert_mode)
    async def _(event: KeyPressEvent) -> None:
        """Take the first completion, also where it is still being looked for."""
        buffer, document = event.current_buffer, event.current_buffer.document
        await completer.answered()
        if buffer.document != document:
            return
        if buffer.complete_state is not None:
            buffer.complete_next()
        else:
            buffer.start_completion(insert_common_part=True)
        event.app.invalidate()

    @keys.add("enter", filter=completion_is_selected & ~_is_command)
    def _(event: KeyPressEvent) -> None:
        """Keep the file that was chosen; the prompt is not done yet. A directory is typed on."""
        buffer = event.current_buffer
        buffer.complete_state = None
        if not buffer.document.text_before_cursor.rstrip("'\"").endswith("/"):
            buffer.insert_text(" ")

    return keys


@Condition
def _is_command() -> bool:
    return get_app().current_buffer.text.startswith("/")


def _written(typed: Typed, paths: Iterable[str]) -> Iterator[Completion]:
    for path in paths:
        text = typed.write(path)
        if text is not None:
            yield Completion(text, -typed.length, display=path)


def _short(said: str) -> str:
    return line(said)[:_SHOWN]


def _fits(name: str, typed: str) -> bool:
    letters = iter(name.casefold())
    return all(letter in letters for letter in typed.casefold())


def _typed_on(document: Document) -> bool:
    app = get_app_or_none()
    return app is not None and app.current_buffer.document.text != document.text


def _menu_again(document: Document) -> bool:
    """Have the menu made anew, where there is one: in its order what comes late stands last."""
    app = get_app_or_none()
    if app is None:
        return False
    buffer = app.current_buffer

    def again() -> None:
        state = buffer.complete_state
        if state is not None and state.complete_index is None and buffer.document == document:
            buffer.cancel_completion()
            buffer.start_completion()

    asyncio.get_running_loop().call_soon(again)  # when the search that is going on has ended
    return True
