"""The model's own questions to the person: options to choose from, or an answer in words."""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence

from apr.agent.asking import Answer, Question
from apr.terminal.cells import isolated
from apr.terminal.ink import Line
from apr.terminal.screen import Screen
from apr.tools.ask_user_question import AskUserQuestion, AskUserQuestionInput
from apr.tools.ask_user_question import Question as Asked
from apr.tools.inputs import parse
from apr.ui.terminal import line as one_line
from apr.ui.terminal import plain

Hear = Callable[[str, Sequence[tuple[str, str]]], Awaitable[str]]
_NUMBERS = re.compile(r"\d+(?:[\s,]+\d+)*")
_PREVIEW = 30
"""Lines of an option's preview that are shown."""


async def answers(question: Question, hear: Hear, screen: Screen) -> Answer:
    """Ask each of the questions; the answers go back in the call's input."""
    given = parse(AskUserQuestion(), question.call.input)
    assert isinstance(given, AskUserQuestionInput)  # noqa: S101 - what the tool takes
    who = screen.work.who(question.call.id)
    told: dict[str, str | list[str]] = {}
    for number, asked in enumerate(given.questions, 1):
        count = f" ({number} of {len(given.questions)})" if len(given.questions) > 1 else ""
        screen.put(_shown(asked, count, who), "call")
        title = "which?" if not asked.multi_select else "which? several: 1,3"
        choices = [(str(at), _label(option.label)) for at, option in enumerate(asked.options, 1)]
        while (chosen := _understood(asked, await hear(title, choices))) is None:
            screen.say(f"There are the options 1 to {len(asked.options)}.")
        told[asked.question] = chosen
        said = chosen if isinstance(chosen, str) else ", ".join(chosen)
        screen.say(f"  → {said}")
    return Answer(allow=True, updated_input={**question.call.input, "answers": told})


def _understood(asked: Asked, typed: str) -> str | list[str] | None:
    """Return the options that are meant, or what was said; None where there is no such option."""
    if _NUMBERS.fullmatch(typed) is None:
        return [typed] if asked.multi_select else typed
    numbers = [int(number) for number in re.findall(r"\d+", typed)]
    if any(not 1 <= number <= len(asked.options) for number in numbers):
        return None
    labels = [asked.options[number - 1].label for number in dict.fromkeys(numbers)]
    if asked.multi_select:
        return labels
    return labels[0] if len(labels) == 1 else None


def _shown(asked: Asked, count: str, who: str | None) -> Iterator[Line]:
    header = f"{_label(asked.header)}: " if asked.header else ""
    yield [("bold ansimagenta", "? "), ("bold", f"{header}{_label(asked.question)}{count}")]
    if who is not None:
        yield [("ansimagenta", f"  asked by {isolated(who)}")]
    for at, option in enumerate(asked.options, 1):
        described = f" — {_label(option.description)}" if option.description else ""
        yield [("ansimagenta", f"  {at}  "), ("bold", _label(option.label)), ("dim", described)]
        preview = plain(option.preview or "").strip("\n").split("\n") if option.preview else []
        yield from ([("dim", f"     │ {isolated(text)}")] for text in preview[:_PREVIEW])
        if len(preview) > _PREVIEW:
            yield [("dim", f"     … +{len(preview) - _PREVIEW} lines")]


def _label(text: str) -> str:
    return isolated(one_line(text))
