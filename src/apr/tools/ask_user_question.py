"""AskUserQuestion: let a person choose."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from apr.tools.base import Access, Context, Outcome


class Option(Struct, forbid_unknown_fields=True):
    """One of the answers to choose from."""

    label: str
    description: str = ""
    preview: str | None = None


class Question(Struct, forbid_unknown_fields=True, rename={"multi_select": "multiSelect"}):
    """One question."""

    question: str
    options: Annotated[list[Option], Meta(min_length=2, max_length=4)]
    header: str = ""
    multi_select: bool = False


class AskUserQuestionInput(Struct):
    """What AskUserQuestion takes. Who answers may put notes beside the answers."""

    questions: Annotated[list[Question], Meta(min_length=1, max_length=4)]
    answers: Annotated[dict[str, str | list[str]], Meta(extra_json_schema={"readOnly": True})] = (
        field(default_factory=dict)
    )


class AskUserQuestion:
    """Puts questions to the person who has started the session."""

    name: ClassVar[str] = "AskUserQuestion"
    description: ClassVar[str] = (
        "Ask the user to choose, where the task can be meant in several ways and it matters."
    )
    Input = AskUserQuestionInput
    read_only: ClassVar[bool] = False

    def access(self, call: AskUserQuestionInput, context: Context) -> Access:
        """A person has to answer; what they answer comes back in the input."""
        return Access(kind="consent", reserved=("answers",))

    async def run(self, call: AskUserQuestionInput, context: Context) -> Outcome:
        """Tell the model what was answered."""
        if not call.answers:
            return Outcome(content="The user gave no answer.", ok=False)
        if len(call.questions) == 1 and len(call.answers) == 1:
            return Outcome(content=f"The user answered: {_text(*call.answers.values())}")
        lines = [f"- {question} {_text(answer)}" for question, answer in call.answers.items()]
        return Outcome(content="The user answered:\n" + "\n".join(lines))


def _text(answer: str | list[str]) -> str:
    return answer if isinstance(answer, str) else ", ".join(answer)
