"""A person is asked what may be done, and answers with a letter, or says what to do instead."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from apr.agent.asking import Answer, Question
from apr.agent.permissions import Rule
from apr.errors import AprError
from apr.settings.write import change
from apr.terminal.screen import difference

CHOICES = "y yes · s for this session · a always · n no · or say what to do instead"


class Consent:
    """The questions of one session, one after the other.

    Args:
        say: shows a line; takes a colour.
        root: the project, whose local settings `always` is written to.
    """

    def __init__(self, say: Callable[[str, str], None], root: Path) -> None:
        self._say = say
        self._root = root
        self._question: Question | None = None
        self._answered: asyncio.Future[str] | None = None

    @property
    def waits(self) -> bool:
        """Whether a question is open."""
        return self._answered is not None and not self._answered.done()

    def answer(self, text: str) -> None:
        """Take what a person has typed."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(text)

    async def ask(self, question: Question) -> Answer:
        """Ask; see `Asker`."""
        self._show(question)
        self._answered = asyncio.get_running_loop().create_future()
        try:
            typed = (await self._answered).strip()
        finally:
            self._answered = None
        match typed.lower():
            case "y" | "yes" | "1":
                return Answer(allow=True)
            case "s" | "2":
                return Answer(allow=True, rules=(narrowest(question, self._root),))
            case "a" | "3":
                rule = narrowest(question, self._root)
                self._remember(rule)
                return Answer(allow=True, rules=(rule,))
            case "n" | "no" | "4" | "":
                return Answer(allow=False)
        return Answer(allow=False, message=f"They say: {typed}")

    def _show(self, question: Question) -> None:
        self._say(question.reason, "\x1b[33m")
        command = question.access.command
        if command is not None:
            for line in command.splitlines():
                self._say(f"  $ {line}", "")
        for line, colour in difference(question.call):
            self._say(f"  {line}", colour)
        self._say(f"allow? {CHOICES}", "\x1b[33m")

    def _remember(self, rule: Rule) -> None:
        path = self._root / ".apr" / "settings.local.json"
        try:
            known = _allowed(path)
            change(path, ("permissions", "allow"), _json([*known, str(rule)]))
        except (OSError, AprError) as error:
            self._say(f"the rule could not be kept: {error}", "\x1b[31m")
        else:
            self._say(f"kept in {path}: {rule}", "\x1b[2m")


def narrowest(question: Question, root: Path) -> Rule:
    """Return the rule that allows just this again: this command, these files, or else the tool."""
    tool, access = question.call.name, question.access
    if access.command is not None:
        return Rule(tool, access.command.strip())
    if access.kind == "write" and len(access.paths) == 1:
        path = access.paths[0]
        inside = path.is_relative_to(root)
        name = f"/{path.relative_to(root).as_posix()}" if inside else f"/{path.as_posix()}"
        return Rule("Edit", name)
    return Rule(tool)


def _allowed(path: Path) -> list[str]:
    try:
        data = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        raise AprError(f"{path}: {error}") from None
    permissions = data.get("permissions") if isinstance(data, dict) else None
    allowed = permissions.get("allow") if isinstance(permissions, dict) else None
    return [str(rule) for rule in allowed] if isinstance(allowed, list) else []


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
