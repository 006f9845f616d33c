"""What Tab completes: commands behind `/`, and the project's files behind `@`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from apr.assembly import Assembled
from apr.terminal.commands import COMMANDS

_MOST_FILES = 2000
_SHOWN = 20


class InputCompleter(Completer):
    """Completes commands behind `/` and the project's files behind `@`."""

    def __init__(self, assembled: Assembled, root: Path) -> None:
        self._assembled = assembled
        self._root = root

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Return what the word before the cursor may become."""
        word = document.get_word_before_cursor(WORD=True)
        if document.text.startswith("/") and " " not in document.text:
            names = [*COMMANDS, *(s.name for s in self._assembled.skills.values() if s.by_user)]
            for name in sorted(names):
                if name.startswith(document.text[1:]):
                    yield Completion(f"/{name}", start_position=-len(document.text))
        elif word.startswith("@"):
            for name in _files(self._root, word[1:]):
                yield Completion(f"@{name}", start_position=-len(word))


def _files(root: Path, typed: str) -> Iterator[str]:
    """Yield files whose path has the letters that were typed, in their order."""
    from ccpa.workspace import snapshot

    shown = 0
    for name in sorted(dict(snapshot(root).entries), key=len)[:_MOST_FILES]:
        letters = iter(name.casefold())
        if all(letter in letters for letter in typed.casefold()):
            yield name
            shown += 1
            if shown == _SHOWN:
                return
