"""The model's own questions to the person, as requests with the answers to choose from."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from acp import helpers, schema

from apr.acp.choices import NO
from apr.agent.asking import Answer, Question
from apr.tools.ask_user_question import AskUserQuestionInput
from apr.tools.ask_user_question import Question as Asked
from apr.ui.terminal import line

Choose = Callable[[schema.ToolCallUpdate, Sequence[schema.PermissionOption]], Awaitable[str | None]]
"""Has the person choose; returns the option's id, None where the question was withdrawn."""


async def answers(question: Question, choose: Choose) -> Answer:
    """Ask each of the questions; the answers go back in the call's input.

    Raises:
        EditorFailed: the editor could not be asked.
    """
    given = msgspec.convert(question.call.input, AskUserQuestionInput)
    told: dict[str, str | list[str]] = {}
    for asked in given.questions:
        chosen = await choose(_shown(question.call.id, asked), _options(asked))
        if chosen is None:
            return Answer(allow=False, interrupt=True)
        labels = {str(at): option.label for at, option in enumerate(asked.options)}
        if chosen not in labels:
            return Answer(allow=False, message="They gave no answer.")
        label = labels[chosen]
        told[asked.question] = [label] if asked.multi_select else label
    return Answer(allow=True, updated_input={**question.call.input, "answers": told})


def _shown(call_id: str, asked: Asked) -> schema.ToolCallUpdate:
    described = [
        f"- {line(option.label)}: {line(option.description)}"
        for option in asked.options
        if option.description
    ]
    text = "\n".join([line(asked.question), *described])
    return schema.ToolCallUpdate(
        tool_call_id=call_id,
        title=line(asked.question),
        kind="think",
        status="pending",
        content=[helpers.tool_content(helpers.text_block(text))],
    )


def _options(asked: Asked) -> list[schema.PermissionOption]:
    offered = [
        schema.PermissionOption(option_id=str(at), name=line(option.label), kind="allow_once")
        for at, option in enumerate(asked.options)
    ]
    no = schema.PermissionOption(option_id=NO, name="No answer", kind="reject_once")
    return [*offered, no]
