"""Which conversation a request goes on with, and what its answers really said."""

from hypothesis import given
from hypothesis import strategies as st

from apr.providers.base import (
    AssistantMessage,
    Message,
    Request,
    ToolAnswer,
    ToolMessage,
    UserMessage,
)
from apr.serve.conversation import (
    Answers,
    Chain,
    answer_link,
    chain,
    chain_of,
    chain_of_prompt,
)
from ccpa.trace import TextBlock, ThinkingBlock, ToolUseBlock

HELLO = UserMessage("hello")
SAID = (TextBlock("I look."), ToolUseBlock("t1", "Read", {"file_path": "a"}))


def request(*messages: Message, system: str = "Be good.") -> Request:
    return Request(system=system, messages=messages)


@given(st.lists(st.binary(max_size=3), max_size=6), st.lists(st.binary(max_size=3), max_size=6))
def test_chains_share_as_many_links_as_prompts_begin_with_alike(
    ours: list[bytes], theirs: list[bytes]
) -> None:
    alike = 0
    while alike < min(len(ours), len(theirs)) and ours[alike] == theirs[alike]:
        alike += 1
    assert chain(ours).shared(chain(theirs)) == alike
    assert chain(ours).size(alike) == sum(map(len, ours[:alike]))


def test_the_next_turn_goes_on_with_the_one_before() -> None:
    first = chain_of(request(HELLO))
    second = chain_of(request(HELLO, AssistantMessage(SAID), UserMessage("more")))
    assert second.goes_on(first)
    assert not first.goes_on(second)
    assert not second.goes_on(Chain())
    assert not second.goes_on(chain_of(request(HELLO, system="Be bad.")))


def test_a_long_prompt_has_more_than_one_link() -> None:
    ours, theirs = chain_of_prompt("x" * 5000), chain_of_prompt("x" * 4500 + "y")
    assert 1 < ours.shared(theirs) < len(ours.links)


def test_the_exact_text_of_an_answer_is_put_back_where_it_returns() -> None:
    answers = Answers(10_000)
    asked = chain_of(request(HELLO))
    raw = "<think>hm</think>I look.\n<tool_call>"
    answers.remember(answer_link(asked, SAID), raw)
    returned = (ThinkingBlock("hm"), TextBlock("I look.\n"), ToolUseBlock("other", *_call()))
    history = request(
        HELLO, AssistantMessage(returned), ToolMessage((ToolAnswer("other", "Read", "x"),))
    )
    restored = answers.restored(history, chain_of(history))
    assert restored.messages[1] == AssistantMessage(
        returned, "<think>hm</think>I look.\n<tool_call>"
    )
    assert restored.messages[0] is HELLO


def test_an_answer_of_another_conversation_is_never_put_back() -> None:
    answers = Answers(10_000)
    asked = chain_of(request(UserMessage("my secret")))
    answers.remember(answer_link(asked, (TextBlock("OK"),)), "<think>the secret</think>OK")
    history = request(HELLO, AssistantMessage((TextBlock("OK"),)), UserMessage("more"))
    assert answers.restored(history, chain_of(history)) == history


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    answers = Answers(10_000)
    for link in ("a", "b", "a", "c"):
        answers.remember(link, link * 4000)
    assert answers.of(["a", "b", "c"]) == {"a": "a" * 4000, "c": "c" * 4000}


def _call() -> tuple[str, dict[str, str]]:
    return "Read", {"file_path": "a"}
