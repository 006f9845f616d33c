"""The input line: what a person types, pastes and calls up again, until it is sent."""

from collections.abc import Callable, Mapping

from msgspec import Struct
from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, is_done, vi_navigation_mode
from prompt_toolkit.formatted_text import AnyFormattedText, StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, HSplit, Window
from prompt_toolkit.search import SearchDirection, start_search

from apr.agent.loop import Agent
from apr.agent.prompt import Prompt
from apr.errors import AprError
from apr.legible import legible
from apr.terminal import completion, images
from apr.terminal.chips import Chips, Display
from apr.terminal.history import DAYS, PromptHistory
from apr.terminal.images import NoPicture
from apr.terminal.keymap import Keymap
from apr.terminal.keys import Deed, bindings
from apr.terminal.paste import PasteInput, cleaned, folded
from apr.terminal.waiting import Queue, shown

BLIND = "this model cannot be shown pictures"
_FLUSH_S = 0.05
"""Time after which an Esc is an Esc, and not the beginning of what a key sends."""


class Setting(Struct, frozen=True, kw_only=True):
    """What an input line is to be like."""

    keymap: Keymap
    sees: bool = False
    """Whether the model can be shown pictures."""
    vim: bool = False
    """Whether it is edited as in vi."""
    keeps: bool = True
    """Whether what is typed can be called up in later sessions."""
    days: int | None = None
    """How long what was pasted is kept; None for the usual time."""


class Line:
    """The input line of a session.

    Args:
        setting: what it is to be like.
        agent: whose rules say what it may be given.
        queue: the prompts that wait, which are shown above it.
        say: shows a line of text.
        deeds: what actions do beyond the line, by name.
        private: whether what is typed now is an answer, which no history keeps.
        completer: says what Tab completes.
        toolbar: the line below.
    """

    def __init__(
        self,
        setting: Setting,
        agent: Agent,
        queue: Queue,
        say: Callable[[str], None],
        *,
        deeds: Mapping[str, Deed],
        private: Callable[[], bool],
        completer: completion.InputCompleter,
        toolbar: AnyFormattedText,
    ) -> None:
        self._keymap = setting.keymap
        self._sees = setting.sees
        self._agent = agent
        self._queue = queue
        self._say = say
        self._private = private
        self.answers = False
        """Whether the line that was sent last answers a question."""
        self.input = PasteInput()
        self._chips = Chips()
        self._days = DAYS if setting.days is None else setting.days
        self._history = PromptHistory(agent.context.root, self._chips, say, keeps=setting.keeps)
        paste = KeyBindings()
        paste.add(Keys.BracketedPaste)(self._paste)
        own = bindings(setting.keymap, {**self._deeds(), **deeds})
        self.session: PromptSession[str] = PromptSession(
            history=self._history,
            key_bindings=merge_key_bindings([paste, own, completion.bindings(completer)]),
            editing_mode=EditingMode.VI if setting.vim else EditingMode.EMACS,
            multiline=True,
            prompt_continuation=_continued,
            input_processors=[Display(self._chips)],
            bottom_toolbar=toolbar,
            completer=completer,
            complete_while_typing=completion.while_typing,
            enable_history_search=~completion.while_typing,
            input=self.input,
        )
        self.session.app.ttimeoutlen = _FLUSH_S
        self._show_queue()

    @property
    def buffer(self) -> Buffer:
        """What is typed."""
        return self.session.default_buffer

    async def read(self, message: AnyFormattedText, draft: str = "") -> str:
        """Return the next line that is sent. `draft` is in it when it is opened.

        Raises:
            BaseException: what a deed has ended it with.
        """
        self.session.app.erase_when_done = False
        return await self.session.prompt_async(message, default=draft, handle_sigint=False)

    def signalled(self) -> bool:
        """Take the signal of Ctrl-C as the key; return False where no line is open."""
        app = self.session.app
        if not app.is_running or app.is_done:
            return False
        app.key_processor.send_sigint()
        return True

    def prompt(self, typed: str, *, pictures: bool = True) -> Prompt:
        """Return what a line asks for: what was pasted is in it, and the pictures that it names.

        Args:
            typed: the line.
            pictures: whether those that an `@` names are shown to the model.

        Raises:
            AprError: something that it holds is no longer kept.
        """
        parts: list[str] = []
        at = 0
        for match, path in images.named(typed) if pictures else ():
            if (mark := self._picture(path)) is not None:
                parts += [typed[at : match.start()], mark]
                at = match.end()
        return self._chips.prompt("".join([*parts, typed[at:]]))

    def draft(self, text: str) -> str:
        """Return a line for a prompt from elsewhere: as a chip, if it is long."""
        clean = cleaned(text)
        chip = folded(clean)
        return clean if chip is None else self._chips.add(chip)

    def forget_draft(self) -> None:
        """Empty the line; what was typed can be called up again."""
        self.buffer.append_to_history()
        self.buffer.reset()

    def set_draft(self, text: str) -> None:
        """Put a line where what is typed is; undo takes it back."""
        self.buffer.save_to_undo_stack()
        self.buffer.document = Document(text)

    def toggle_vim(self) -> bool:
        """Edit as in vi from now on, or no longer; return which."""
        vim = self.session.editing_mode != EditingMode.VI
        self.session.editing_mode = EditingMode.VI if vim else EditingMode.EMACS
        return vim

    def vim_mode(self) -> str:
        """Return the mode that vi's keys are in, for the status line; empty without vi's keys."""
        app = self.session.app
        if app.editing_mode != EditingMode.VI:
            return ""
        if self.buffer.selection_state is not None:
            return "VISUAL"
        modes = {InputMode.NAVIGATION: "NORMAL", InputMode.REPLACE: "REPLACE"}
        return modes.get(app.vi_state.input_mode, "INSERT")

    def close(self) -> None:
        """Remove what nobody has called up for long."""
        self._history.forget(self._days)

    def _deeds(self) -> dict[str, Deed]:
        """Return what actions do within the line."""
        not_vi = ~vi_navigation_mode  # there it has a meaning of its own
        waits = Condition(lambda: bool(self._queue.typed()) and not self.buffer.text)
        return {
            "send": Deed(self._send),
            "newline": Deed(lambda event: event.current_buffer.insert_text("\n")),
            "history": Deed(
                lambda _event: start_search(direction=SearchDirection.BACKWARD), not_vi
            ),
            "retract": Deed(self._retract, waits),
            "picture": Deed(self._paste_picture, not_vi),
            "editor": Deed(self._edit),
            "undo": Deed(lambda event: event.current_buffer.undo(), saves=False),
            "clear": Deed(lambda event: event.app.renderer.clear()),
            "suspend": Deed(lambda event: event.app.suspend_to_background()),
        }

    def _send(self, event: KeyPressEvent) -> None:
        buffer, self.answers = event.current_buffer, self._private()
        if buffer.document.char_before_cursor == "\\":
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        elif self.answers:
            event.app.exit(result=buffer.text, style="class:accepted")
        else:
            buffer.validate_and_handle()

    def _retract(self, _event: KeyPressEvent) -> None:
        if (typed := self._queue.take_last()) is not None:
            self.set_draft(typed)

    def _paste(self, event: KeyPressEvent) -> None:
        text = cleaned(event.data)
        marks = [self._picture(path) for path in images.dropped(text)]
        if marks and None not in marks:
            text = " ".join(mark for mark in marks if mark is not None) + " "
        elif (chip := folded(text)) is not None:
            text = self._chips.add(chip)
        event.current_buffer.insert_text(text)

    def _picture(self, path: str) -> str | None:
        """Return the chip of a picture; None where the model cannot have it, which is said."""
        if not self._sees:
            self._say(f"{BLIND}: {path} is given as a path")
            return None
        try:
            return self._chips.add(images.load(path, self._agent))
        except NoPicture as error:
            self._say(f"{error}. It is given as a path.")
            return None

    async def _paste_picture(self, event: KeyPressEvent) -> None:
        from apr.terminal.clipboard import pasted

        if not self._sees:
            self._say(BLIND)
            return
        try:
            chip = await pasted()
        except NoPicture as error:
            self._say(str(error))
        else:
            event.current_buffer.insert_text(f"{self._chips.add(chip)} ")

    async def _edit(self, _event: KeyPressEvent) -> None:
        from apr.terminal.editor import edit

        shown_text = self._chips.labelled(self.buffer.text)
        try:
            edited = await run_in_terminal(lambda: edit(shown_text), in_executor=True)
        except AprError as error:
            self._say(str(error))
        else:
            self.set_draft(self._chips.marked(cleaned(edited)))

    def _show_queue(self) -> None:
        """Put a line above the input that says what waits."""
        inner = self.session.layout.container
        assert isinstance(inner, HSplit)  # noqa: S101 - what a PromptSession makes
        window = Window(FormattedTextControl(self._waiting), height=1)
        waits = Condition(lambda: bool(self._queue.typed()))
        inner.children.insert(0, ConditionalContainer(window, filter=waits & ~is_done))

    def _waiting(self) -> StyleAndTextTuples:
        typed = [legible(self._chips.labelled(text)) for text in self._queue.typed()]
        columns = self.session.app.output.get_size().columns
        key = "" if self._private() else self._keymap.shown("retract")
        return [("dim", shown(typed, columns - 1, key))]


def _continued(width: int, _line: int, wrapped: int) -> str:
    """Return what stands before a further line of the input."""
    return " " * width if wrapped else "… ".rjust(width)
