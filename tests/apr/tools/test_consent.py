"""Tools that are for a person to answer: asked by an agent, answered through the gate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from apr.agent.asking import Answer, Question
from apr.agent.gate import Gate
from apr.agent.loop import Agent
from apr.agent.permissions import Mode, Policy, parse_rules
from apr.agent.session import Session
from apr.hooks.base import Hooks
from apr.hooks.declared import Group, Handler
from apr.hooks.runner import HookRunner
from apr.providers.base import Request
from apr.tools.ask_user_question import AskUserQuestion
from apr.tools.base import Context, ToolError
from apr.tools.exit_plan_mode import ExitPlanMode
from apr.tools.inputs import parse
from apr.tools.write import Write
from ccpa.trace import TextBlock, ToolResult
from tests.apr.agent.scripted import Script, answer, use

COLOUR = {"question": "Which colour?", "options": [{"label": "red"}, {"label": "blue"}]}
SIZES = {
    "question": "Which sizes?",
    "header": "Sizes",
    "multiSelect": True,
    "options": [{"label": "S", "description": "small"}, {"label": "L"}],
}
PLAN = {"plan": "1. Write a.txt."}


class Person:
    """Answers what it is asked, in order."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[Question] = []

    async def __call__(self, question: Question) -> Answer:
        self.asked.append(question)
        return self._answers.pop(0)


async def results(
    context: Context,
    uses: Sequence[tuple[str, dict[str, Any]]],
    person: Person | None,
    *,
    mode: Mode = "default",
    rules: tuple[str, ...] = (),
    hooks: Hooks | None = None,
) -> tuple[list[ToolResult], Gate]:
    """Let an agent use some tools, one a turn; return what came of it."""
    turns = [answer(use(name, n, **given)) for n, (name, given) in enumerate(uses, 1)]
    policy = Policy(root=context.root, mode=mode, allow=parse_rules(rules))
    gate = Gate(policy, ask=person, hooks=hooks)
    agent = Agent(
        Script(*turns, answer(TextBlock("done"))),
        [AskUserQuestion(), ExitPlanMode(gate), Write()],
        gate,
        context,
        Session(context.root, model="m", permission_mode=mode, trace=None),
        Request(system="", messages=()),
    )
    found = [event async for event in agent.run("Go") if isinstance(event, ToolResult)]
    return found, gate


def chosen(questions: list[dict[str, Any]], **answers: Any) -> Answer:
    said = {key.replace("_", " ") + "?": value for key, value in answers.items()}
    return Answer(allow=True, updated_input={"questions": questions, "answers": said})


async def test_a_person_chooses(context: Context) -> None:
    person = Person(chosen([COLOUR], Which_colour="blue"))
    (result,), _ = await results(
        context, [("AskUserQuestion", {"questions": [COLOUR]})], person, mode="bypassPermissions"
    )
    assert (result.ok, result.content) == (True, "The user answered: blue")
    assert person.asked[0].access.kind == "consent"
    assert person.asked[0].call.input == {"questions": [COLOUR]}


async def test_several_questions_are_answered_at_once(context: Context) -> None:
    said = chosen([COLOUR, SIZES], Which_colour="a dark green", Which_sizes=["S", "L"])
    (result,), _ = await results(
        context, [("AskUserQuestion", {"questions": [COLOUR, SIZES]})], Person(said)
    )
    assert result.content == (
        "The user answered:\n- Which colour? a dark green\n- Which sizes? S, L"
    )


async def test_who_agrees_and_says_nothing_has_not_answered(context: Context) -> None:
    uses = [("AskUserQuestion", {"questions": [COLOUR]})]
    (result,), _ = await results(context, uses, Person(Answer(allow=True)))
    assert (result.ok, result.content) == (False, "The user gave no answer.")


async def test_who_does_not_want_to_answer_says_so(context: Context) -> None:
    person = Person(Answer(allow=False, message="Decide for yourself."))
    (result,), _ = await results(context, [("AskUserQuestion", {"questions": [COLOUR]})], person)
    assert result.denied_by == "user"
    assert result.content.endswith("Decide for yourself.")


async def test_a_model_cannot_answer_for_the_user(context: Context) -> None:
    given = {"questions": [COLOUR], "answers": {"Which colour?": "red"}}
    person = Person()
    (result,), _ = await results(context, [("AskUserQuestion", given)], person)
    assert not result.ok
    assert "`answers` is for the user to give" in result.content
    assert not person.asked


@pytest.mark.parametrize("mode", ["default", "bypassPermissions", "dontAsk", "plan"])
@pytest.mark.parametrize("rules", [(), ("AskUserQuestion", "ExitPlanMode")])
async def test_where_nobody_can_be_asked_it_is_denied(
    context: Context, mode: Mode, rules: tuple[str, ...]
) -> None:
    uses: list[tuple[str, dict[str, Any]]] = [
        ("AskUserQuestion", {"questions": [COLOUR]}),
        ("ExitPlanMode", PLAN),
    ]
    found, gate = await results(context, uses, None, mode=mode, rules=rules)
    assert [result.denied_by for result in found] == ["mode", "mode"]
    assert gate.policy.mode == mode


async def test_a_plan_is_agreed_to_and_carried_out(root: Path, context: Context) -> None:
    write = ("Write", {"file_path": "a.txt", "content": "x\n"})
    person = Person(Answer(allow=True), Answer(allow=True))
    found, gate = await results(
        context, [write, ("ExitPlanMode", PLAN), write], person, mode="plan"
    )
    assert [(result.ok, result.denied_by) for result in found] == [
        (False, "mode"),
        (True, None),
        (True, None),
    ]
    assert [question.call.name for question in person.asked] == ["ExitPlanMode", "Write"]
    assert gate.policy.mode == "default"
    assert (root / "a.txt").exists()


async def test_who_agrees_to_a_plan_may_name_the_mode_to_go_on_in(
    root: Path, context: Context
) -> None:
    uses = [("ExitPlanMode", PLAN), ("Write", {"file_path": "a.txt", "content": "x\n"})]
    person = Person(Answer(allow=True, mode="acceptEdits"))
    found, gate = await results(context, uses, person, mode="plan")
    assert all(result.ok for result in found)
    assert gate.policy.mode == "acceptEdits"


async def test_a_plan_that_is_declined_leaves_plan_mode_on(context: Context) -> None:
    person = Person(Answer(allow=False, message="Smaller, please."))
    (result,), gate = await results(context, [("ExitPlanMode", PLAN)], person, mode="plan")
    assert result.denied_by == "user"
    assert "Smaller, please." in result.content
    assert gate.policy.mode == "plan"


async def test_a_hook_may_answer_in_a_persons_place(context: Context) -> None:
    decision = (
        '{"hookSpecificOutput": {"hookEventName": "PermissionRequest", '
        '"decision": {"behavior": "allow"}}}'
    )
    hooks = HookRunner(
        {"PermissionRequest": (Group("ExitPlanMode", (Handler(command=f"echo '{decision}'"),)),)},
        context.root,
        dict,
    )
    (result,), gate = await results(
        context, [("ExitPlanMode", PLAN)], None, mode="plan", hooks=hooks
    )
    assert result.ok
    assert gate.policy.mode == "default"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"questions": []},
        {"questions": [COLOUR] * 5},
        {"questions": [{"question": "?", "options": [{"label": "only one"}]}]},
        {"questions": [{"question": "?"}]},
    ],
)
def test_questions_have_two_to_four_options_and_are_four_at_most(given: dict[str, Any]) -> None:
    with pytest.raises(ToolError):
        parse(AskUserQuestion(), given)


def test_a_plan_says_something(context: Context) -> None:
    with pytest.raises(ToolError):
        parse(ExitPlanMode(Gate(Policy(root=context.root))), {"plan": ""})
