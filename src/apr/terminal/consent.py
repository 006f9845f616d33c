"""A person is asked what may be done, and answers with a letter, or says what to do instead.

What will happen is printed above: the difference of an edit, a command with its parts. The answers
stand right above the input as long as the question is open; a draft that was being typed comes back
when it is not any more.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from apr.agent.asking import Answer, Question
from apr.agent.gate import Gate
from apr.agent.offers import Offers, offers, parts
from apr.agent.permissions import Rule, decide
from apr.errors import AprError
from apr.settings.allowing import allow
from apr.terminal.calls import arguments, headline
from apr.terminal.cells import cut, folded, isolated, untabbed
from apr.terminal.differences import Change, counts, drawn
from apr.terminal.differences import change as change_of
from apr.terminal.ink import Line, also, said
from apr.terminal.results import indented
from apr.terminal.screen import Screen
from apr.tools.paths import show
from apr.ui.terminal import line as one_line
from apr.ui.terminal import plain

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

CHOICES = "y yes · s for this session · a always · n no · or say what to do instead"
_ASK = "bold ansimagenta"
_DIFFERENCE = 60
"""Lines of a difference that are shown with a question; the others are counted, and Ctrl-O."""
_COMMAND = 30
"""Rows of a command, and lines of any other input."""
_LAST = 10
"""Of these, those of a longer command's end: what is to be hidden is put there."""
_LONG = 100
"""Characters of rules that are shown where they are chosen; longer ones are shown above."""
_PAUSE_S = 0.3
"""Time without a key after which nobody is in the middle of typing."""


class Choice(Struct, frozen=True, kw_only=True):
    """One of the answers there are."""

    key: str
    text: str
    answer: Answer
    keep: bool = False
    """Whether its rules go into the settings."""


class Consent:
    """The questions of one session, one after the other.

    Args:
        screen: shows what is asked.
        gate: holds the rules; what they allow meanwhile is not asked.
        managed: whether only the organisation's rules may allow something.
    """

    def __init__(
        self, screen: Screen, gate: Gate, managed: Callable[[], bool] = lambda: False
    ) -> None:
        self._screen = screen
        self._gate = gate
        self._managed = managed
        self._turn = asyncio.Lock()
        self._queued = 0
        self._typed: asyncio.Future[str] | None = None
        self._choices: Sequence[tuple[str, str]] = ()
        self._chosen: int | None = None
        self._session: PromptSession[str] | None = None
        self._stirred = float("-inf")
        """When something was typed last."""

    @property
    def waits(self) -> bool:
        """Whether a question is open."""
        return self._typed is not None and not self._typed.done()

    def attach(self, session: "PromptSession[str]") -> None:
        """Let answers be chosen with the arrow keys of the session's input, and keep its draft."""
        from prompt_toolkit.filters import Condition
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings

        self._session = session
        for buffer in (session.default_buffer, session.search_buffer):
            buffer.on_text_changed += self._stir
        keys = KeyBindings()
        nothing_typed = Condition(lambda: self.waits and not session.default_buffer.text)

        @keys.add("up", filter=nothing_typed, eager=True)
        @keys.add("down", filter=nothing_typed, eager=True)
        def _(event: KeyPressEvent) -> None:
            self._move(-1 if event.key_sequence[0].key == "up" else 1)

        @keys.add("enter", filter=nothing_typed, eager=True)
        def _(_event: KeyPressEvent) -> None:
            if self._chosen is not None:  # Enter alone is no answer: it may have been meant before
                self.answer(self._choices[self._chosen][0])

        own = [session.key_bindings] if session.key_bindings is not None else []
        session.key_bindings = merge_key_bindings([*own, keys])

    def answer(self, text: str) -> None:
        """Take what a person has typed."""
        if self._typed is not None and not self._typed.done() and text.strip():
            self._typed.set_result(text.strip())

    async def ask(self, question: Question) -> Answer:
        """Ask; see `Asker`."""
        by_rule = self._decided(question) != "allow"
        self._queued += 1
        try:
            await self._turn.acquire()
        finally:
            self._queued -= 1
        try:
            if by_rule and self._decided(question) == "allow":
                return Answer(allow=True)  # by the answer to the question before
            await self._undisturbed()
            return await self._ask(question)
        finally:
            self._turn.release()

    async def _ask(self, question: Question) -> Answer:
        draft = self._take_draft()
        try:
            if question.call.name == "AskUserQuestion":
                from apr.terminal.questions import answers

                return await answers(question, self._hear, self._screen)
            found = offers(question, self._gate.policy, managed=self._managed())
            self._show(question, found)
            choices = list(_choices(question, found))
            return await self._chosen_of(choices)
        except asyncio.CancelledError:
            self._screen.say("the question is withdrawn", "\x1b[2m")
            raise
        finally:
            self._give_back(draft)

    async def _chosen_of(self, choices: list[Choice]) -> Answer:
        typed = await self._hear("allow?", [(choice.key, choice.text) for choice in choices])
        given = {"yes": "y", "no": "n"}.get(typed.lower(), typed.lower())
        choice = next((one for one in choices if one.key == given), None)
        if choice is not None:
            if choice.keep:
                self._remember(choice.answer.rules)
            elif choice.answer.rules:
                self._screen.say(f"allowed for this session: {_named(choice.answer.rules)}")
            return choice.answer
        if len(typed) == 1:  # a slip of the finger is not what the model is told
            self._screen.say(f"There is no answer {typed!r}.")
            return await self._chosen_of(choices)
        return Answer(allow=False, message=f"They say: {typed}")

    async def _hear(self, title: str, choices: Sequence[tuple[str, str]]) -> str:
        """Return what is typed or chosen. The choices are their keys, and what those mean."""
        self._choices, self._chosen = choices, None
        self._typed = asyncio.get_running_loop().create_future()
        self._screen.panel = lambda columns: list(self._panel(title, columns))
        if not self._screen.moves:
            self._screen.put(self._panel(title, self._screen.columns))
        self._screen.changed()
        try:
            return await self._typed
        finally:
            self._typed, self._screen.panel = None, None
            self._screen.changed()

    def _panel(self, title: str, columns: int) -> Iterator[Line]:
        """Yield the open question."""
        more = f" · {self._queued} more after this" if self._queued else ""
        yield [(_ASK, title), ("dim", f" a key and Enter, or ↑ ↓ and Enter{more}")]
        for at, (key, text) in enumerate(self._choices):
            before: Line = [(_ASK, f"  {key}  ")]
            for part in folded([("", text)], columns - 5):
                line: Line = [*before, *part]
                yield also(line, "reverse") if at == self._chosen else line
                before = [("", "     ")]
        yield [("dim", "     or say what to do instead")]

    def _move(self, by: int) -> None:
        count = len(self._choices)
        if count:
            before = self._chosen if self._chosen is not None else (-1 if by > 0 else 0)
            self._chosen = (before + by) % count
            self._screen.changed()

    def _show(self, question: Question, found: Offers) -> None:
        """Print what will happen, and why it is asked."""
        self._screen.put(self._shown(question, found), "call")

    def _shown(self, question: Question, found: Offers) -> Iterator[Line]:
        call, columns = question.call, self._screen.columns
        yield [(_ASK, "? "), *headline(call, columns - 2)[1:]]
        if (who := self._screen.work.who(call.id)) is not None:
            yield [("ansimagenta", f"  asked by {isolated(who)}")]
        if call.name == "ExitPlanMode":
            yield from self._screen.markdown(str(call.input.get("plan", "")), columns)
            return
        if question.access.command is None or not question.reason.startswith("No rule allows"):
            yield [("", f"  {isolated(one_line(question.reason))}")]  # the parts say that better
        if question.access.command is not None:
            yield from self._command(question, question.access.command)
        elif (made := _change(question, self._gate.policy.root)) is not None:
            yield from self._difference(question, made)
        elif call.input:
            lines, left_out = arguments(call.input, _COMMAND)
            yield from indented(lines)
            yield from self._left_out(left_out, "lines", lambda _: arguments(call.input)[0])
        if found.why_not:
            yield [("dim", f"  {found.why_not}")]
        for keys, rules in (("s, a", found.narrow), ("w", found.wide)):
            seen = [rule.specifier for rule in rules] == [(question.access.command or "").strip()]
            if len(_named(rules)) > _LONG and not seen:
                yield [("", f"  {keys}: {isolated(_named(rules))}")]

    def _command(self, question: Question, command: str) -> Iterator[Line]:
        columns, cwd, root = self._screen.columns, question.access.cwd, self._gate.policy.root
        if cwd is not None and cwd != root:
            yield [("", f"  in {isolated(one_line(show(cwd, root)))}")]
        if question.call.input.get("run_in_background"):
            yield [("", "  in the background")]
        lines = plain(command.strip()).split("\n")
        rows = [row for text in lines for row in _command_rows(text, columns)]
        if len(rows) <= _COMMAND:  # the terminal breaks long lines, so that they can be copied
            yield from ([("bold", f"  $ {isolated(text)}")] for text in lines)
        else:
            yield from rows[: _COMMAND - _LAST]
            yield from self._left_out(
                len(rows) - _COMMAND, "rows", lambda _: ([("", f"$ {text}")] for text in lines)
            )
            yield from rows[-_LAST:]
        taken = parts(question, self._gate.policy)
        for part in taken[:_COMMAND]:
            mark = ("ansigreen", "✓ allowed   ") if part.allowed else ("ansiyellow", "? asks      ")
            yield [("", "    "), mark, ("", isolated(cut(one_line(part.text), 3 * columns)))]
        if len(taken) > _COMMAND:
            yield [("ansiyellow", f"    … and {len(taken) - _COMMAND} more parts")]

    def _difference(self, question: Question, made: Change) -> Iterator[Line]:
        come, go = counts(made)
        self._screen.work.has_shown(question.call.id, made)
        new = "new file · " if made.before is None else ""
        yield [("dim", f"  {new}+{come:,} -{go:,}")]
        lines, left_out = drawn(made, self._screen.columns - 2, _DIFFERENCE)
        yield from indented(lines)
        yield from self._left_out(left_out, "lines", lambda columns: drawn(made, columns)[0])

    def _left_out(
        self, count: int, what: str, full: Callable[[int], Iterator[Line] | list[Line]]
    ) -> list[Line]:
        if not count:
            return []
        self._screen.keep(full)
        return [[("ansiyellow", f"  … +{count:,} {what} (Ctrl-O)")]]

    def _decided(self, question: Question) -> str:
        return decide(self._gate.policy, question.call.name, question.access).behavior

    def _stir(self, _buffer: object) -> None:
        self._stirred = asyncio.get_running_loop().time()

    async def _undisturbed(self) -> None:
        """Wait until the input is open and nobody types in it.

        What is typed before a question is seen was meant for something else, and is no answer.
        """
        loop = asyncio.get_running_loop()
        while self._session is not None and self._screen.moves:
            if not _is_open(self._session):
                self._stirred = loop.time()
            left = self._stirred + _PAUSE_S - loop.time()
            if left <= 0:
                return
            await asyncio.sleep(left)

    def _take_draft(self) -> str:
        session = self._session
        if session is None or not _is_open(session):
            return ""
        draft = session.default_buffer.text
        session.default_buffer.reset()
        return draft

    def _give_back(self, draft: str) -> None:
        """Put a draft into the input again: now, or when it is opened next."""
        session = self._session
        if session is None or not draft:
            return
        buffer = session.default_buffer

        def put() -> None:
            buffer.insert_text(f"\n{draft}" if buffer.text else draft)

        if _is_open(session):
            put()
        else:
            session.app.pre_run_callables.append(put)

    def _remember(self, rules: tuple[Rule, ...]) -> None:
        try:
            path = allow(map(str, rules), self._gate.policy.root)
        except (OSError, AprError) as error:
            self._screen.say(f"the rule could not be kept: {error}", "\x1b[31m")
        else:
            self._screen.say(f"kept in {path}: {_named(rules)}", "\x1b[2m")


def _choices(question: Question, found: Offers) -> Iterator[Choice]:
    """Yield the answers that are offered, the rules in words before they are chosen."""
    yes = "yes, go ahead" if question.call.name == "ExitPlanMode" else "yes, once"
    yield Choice(key="y", text=yes, answer=Answer(allow=True))
    if question.call.name == "ExitPlanMode":
        accepting = Answer(allow=True, mode="acceptEdits")
        yield Choice(key="e", text="yes, and accept edits without asking", answer=accepting)
    if found.narrow:
        answer = Answer(allow=True, rules=found.narrow)
        yield Choice(key="s", text=f"for this session: {_briefly(found.narrow)}", answer=answer)
        kept = f"always (.apr/settings.local.json): {_briefly(found.narrow)}"
        yield Choice(key="a", text=kept, answer=answer, keep=True)
    if found.wide:
        answer = Answer(allow=True, rules=found.wide)
        kept = f"always, and wider: {_briefly(found.wide)}"
        yield Choice(key="w", text=kept, answer=answer, keep=True)
    if found.edits:
        accepting = Answer(allow=True, mode="acceptEdits")
        yield Choice(key="e", text="accept all edits in this session", answer=accepting)
    yield Choice(key="n", text="no", answer=Answer(allow=False))


def _change(question: Question, root: Path) -> Change | None:
    """Return what an edit changes, of the file that it was found to mean."""
    call, paths = question.call, question.access.paths
    for name in ("file_path", "notebook_path", "path"):
        if name in call.input and len(paths) == 1:
            call = msgspec.structs.replace(call, input={**call.input, name: str(paths[0])})
    return change_of(call, root)


def _named(rules: tuple[Rule, ...]) -> str:
    return one_line(", ".join(map(str, rules)))


def _briefly(rules: tuple[Rule, ...]) -> str:
    """Return rules as they are shown where they are chosen; see `_LONG`."""
    named = _named(rules)
    return named if len(named) <= _LONG else f"{named[: _LONG // 2]}… (in full above)"


def _command_rows(text: str, columns: int) -> Iterator[Line]:
    before = "  $ "
    for row in folded([("bold", untabbed(text))], columns - len(before)):
        yield [("bold", f"{before}{isolated(said(row))}")]
        before = "    "


def _is_open(session: "PromptSession[str]") -> bool:
    return session.app.is_running and not session.app.is_done
