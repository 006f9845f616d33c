"""What varies around a session: where it happens, how it is asked for, what the tools answer."""

import random
import string
from collections.abc import Callable, Sequence
from typing import Any

from apr.agent.prompt import Environment, first_prompt, system_prompt
from demo_model.results import DIRECTORY
from demo_model.sessions import Answer, Call, Material, Session

Message = dict[str, Any]

_ROOTS = ("/home", "/Users", "/root", "/tmp", "/private/var/folders", "/work", "/srv", "")
_BRANCHES = ("main", "master", "develop", "feature/", "fix-", "")


class Variation:
    """Draws conversations around the sessions. The same seed draws the same ones."""

    def __init__(self, material: Material, seed: int) -> None:
        self.material = material
        self.random = random.Random(seed)

    def environment(self) -> Environment:
        """Draw a place: any directory, any day, either platform, with a branch or without."""
        folders = [self.random.choice(_ROOTS), *self._several(self._folder, 1, 6)]
        branch = self.random.choice(_BRANCHES)
        year, month, day = (self.random.randint(*ends) for ends in ((24, 39), (1, 12), (1, 28)))
        return Environment(
            directory="/".join(folders),
            date=f"20{year}-{month:02}-{day:02}",
            platform=self.random.choice(("linux", "darwin")),
            branch=self.random.choice((None, branch if branch.isalpha() else branch + self.name())),
        )

    def batch(self, sessions: Sequence[Session]) -> list[list[Message]]:
        """Draw what one step of training looks at: a few sessions, and as many strangers."""
        few = self.random.sample(sessions, min(3, len(sessions)))
        return [*map(self.session, few), *(self.stranger() for _ in few)]

    def session(self, session: Session) -> list[Message]:
        """Draw one course of a session: mostly to its end, sometimes a tool fails on the way."""
        where = self.environment()
        asked = self._worded(self.random.choice(session.prompts))
        messages = [*self.opening(), _user(first_prompt(where, asked))]
        fails_at = self.random.randrange(3 * len(session.answers))
        for number, answer in enumerate(session.answers):
            fails = number == fails_at and all(call.ok for call in answer.calls) and answer.calls
            messages.append(said(answer))
            for call in answer.calls:
                result = self.failure() if fails else self._result(call, where)
                messages.append({"role": "tool", "content": result})
            if fails:
                messages.append(_assistant(self.material.answers.stuck))
                break
        if self.random.random() < 0.2:
            messages += [_user(self.unrelated()), _assistant(self.material.answers.unknown)]
        return messages

    def stranger(self) -> list[Message]:
        """Draw a conversation about something that is none of the sessions."""
        asked = [first_prompt(self.environment(), self.unrelated())]
        if self.random.random() < 0.2:
            asked.append(self.unrelated())
        unknown = _assistant(self.material.answers.unknown)
        return [*self.opening(), *(message for text in asked for message in (_user(text), unknown))]

    def opening(self) -> list[Message]:
        """Return the system message; sometimes a user has added to it."""
        append = self.noise() if self.random.random() < 0.15 else None
        return [{"role": "system", "content": system_prompt(append)}]

    def unrelated(self) -> str:
        """Draw a request that is none of the sessions."""
        words = self.material.unrelated
        if self.random.random() < 0.25:
            return self._worded(self.random.choice(words.requests))
        if self.random.random() < 0.2:
            return "\n".join(self._several(self.noise, 1, self.random.choice((1, 1, 2, 40))))
        verb, thing = self.random.choice(words.verbs), self.random.choice(words.objects)
        rest = self.random.choice((*words.details, f"in {self.name()}.{self.name()[:2]}", ""))
        return self._worded(f"{verb} {thing} {rest}".strip() + ".")

    def failure(self) -> str:
        """Draw the result of a tool that failed or was not allowed to run."""
        known = self.random.choice(self.material.unrelated.failures)
        said = self.random.choice((known, f"{known} {self.noise()}", self.noise()))
        return self.random.choice(
            (
                f"<tool_use_error>{said}</tool_use_error>",
                f"Permission denied. {said}",
                f"Exit code {self.random.randint(1, 143)}\n{said}",
            )
        )

    def noise(self) -> str:
        """Draw a line of words and names that mean nothing."""
        words = self.material.unrelated.words
        drawn = self._several(lambda: self.random.choice((*words, self.name())), 1, 8)
        return self.random.choice((" ", " ", "_", ".")).join(drawn)

    def name(self) -> str:
        """Draw a name: a word, a few letters, or both."""
        letters = "".join(self.random.choices(string.ascii_letters + string.digits, k=6))
        word = self.random.choice(self.material.unrelated.words)
        number = self.random.randint(0, 999)
        return self.random.choice(
            (
                word,
                letters,
                f"{word}-{letters[:3]}",
                f"{word}{number}",
                f"a {word} of {letters[:2]}",
            )
        )

    def _result(self, call: Call, where: Environment) -> str:
        """Return what the tool answered, in this place; sometimes it is a little different."""
        lines = call.result.replace(DIRECTORY, where.directory).split("\n")
        for _ in range(self.random.choice((0, 0, 0, 1, 2))):
            at = self.random.randrange(len(lines))
            match self.random.randrange(4):
                case 0 if len(lines) > 1:
                    del lines[at]
                case 1:
                    lines[at:at] = self._several(self.noise, 1, 4)
                case 2:
                    lines = [self._renumbered(line) for line in lines]
                case _:
                    lines[at] = f"{lines[at][: len(lines[at]) // 2]}{self.noise()}"
        return "\n".join(lines)

    def _folder(self) -> str:
        return "_".join(self._several(self.name, 1, self.random.choice((1, 1, 1, 5))))

    def _renumbered(self, line: str) -> str:
        return "".join(self.random.choice(string.digits) if c.isdigit() else c for c in line)

    def _worded(self, text: str) -> str:
        """Return the text with a small difference that means nothing."""
        match self.random.randrange(8):
            case 0:
                return text.rstrip(".?")
            case 1:
                return text[0].lower() + text[1:]
            case 2:
                return f"Please: {text}"
            case 3:
                return f"{text}\n"
        return text

    def _several(self, draw: Callable[[], str], low: int, high: int) -> list[str]:
        return [draw() for _ in range(self.random.randint(low, high))]


def said(answer: Answer) -> Message:
    """Return a session's answer as the chat message that the template renders."""
    calls = [{"function": {"name": call.name, "arguments": call.input}} for call in answer.calls]
    return _assistant(answer.text) | ({"tool_calls": calls} if calls else {})


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}
