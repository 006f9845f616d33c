"""Chat completions with models of every family: what they are sent, and calls left in the text."""

from typing import Any, get_args

import msgspec
import pytest

from apr.providers.base import (
    AssistantMessage,
    Message,
    ToolAnswer,
    ToolMessage,
    UserMessage,
)
from apr.providers.openai_request import encode
from apr.providers.toolcalls import Family, render
from ccpa.trace import TextBlock, ThinkingBlock, ToolUseBlock
from tests.apr.providers.chats import call_delta, calls, complete, request, uses
from tests.apr.providers.raw_server import delta

FAMILIES: tuple[Family, ...] = get_args(Family)
LS = ("Bash", {"command": "ls"})
HISTORY: tuple[Message, ...] = (
    UserMessage("Look"),
    AssistantMessage(
        (ThinkingBlock("hm"), TextBlock("I look."), ToolUseBlock("toolu_1", *LS)),
        raw="the model's own words",
    ),
    ToolMessage((ToolAnswer("toolu_1", "Bash", "a.py"),)),
)


def sent(family: Family | None) -> list[dict[str, Any]]:
    """Return the messages that stand for `HISTORY`."""
    messages: list[dict[str, Any]]
    messages = msgspec.json.decode(encode(request(*HISTORY), "m", family))["messages"]
    return messages[2:]


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_call_that_a_server_left_in_the_text_runs(family: Family) -> None:
    """Whatever the family, and without knowing it: markup shown to a person is a defect."""
    written = render(family, *LS)
    for known in (family, None):
        completion = await complete(
            delta("I look.\n\n"), delta(written, finish="stop"), family=known
        )
        assert completion.blocks[0] == TextBlock("I look.")
        assert uses(completion) == [LS]
        assert completion.malformed == {}
        assert completion.stop_reason == "tool_use"


STRIPPED = {
    "kimi_k2": 'functions.Bash:0{"command": "ls"}',
    "deepseek_v31": 'Bash{"command": "ls"}',
    "deepseek_v3": 'functionBash\n```json\n{"command": "ls"}\n```',
    "mistral": 'Bash{"command": "ls"}',
    "mistral_json": '[{"name": "Bash", "arguments": {"command": "ls"}}]',
    "llama_json": '{"name": "Bash", "parameters": {"command": "ls"}}',
    "harmony": 'analysisLet me look.assistantcommentary to=functions.Bash json{"command": "ls"}',
    "gemma4": "call:Bash{command:ls}",
    "deepseek_v32": '<function_calls>\n<invoke name="Bash">\n<parameter name="command" '
    'string="true">ls</parameter>\n</invoke>\n</function_calls>',
}


@pytest.mark.parametrize("family", STRIPPED)
async def test_a_call_whose_marks_the_tokenizer_stripped_runs(family: Family) -> None:
    completion = await complete(delta(STRIPPED[family], finish="stop"), family=family)
    assert uses(completion) == [LS]
    assert completion.malformed == {}


@pytest.mark.parametrize("family", sorted(set(STRIPPED) - {"harmony", "deepseek_v3"}))
async def test_so_does_one_that_is_all_an_unknown_model_says(family: str) -> None:
    completion = await complete(delta(STRIPPED[family], finish="stop"))
    assert uses(completion) == [LS]


@pytest.mark.parametrize("family", sorted(set(STRIPPED) - {"kimi_k2", "deepseek_v32"}))
async def test_an_unknown_model_that_goes_on_talking_only_showed_it(family: str) -> None:
    text = f"So:\n{STRIPPED[family]}\nThat is how it looks."
    completion = await complete(delta(text, finish="stop"))
    assert completion.blocks == (TextBlock(text),)


async def test_reasoning_that_has_a_field_of_its_own_is_never_read_for_calls() -> None:
    written = render("qwen_xml", *LS)
    completion = await complete(delta(reasoning_content=written), delta("No.", finish="stop"))
    assert completion.blocks == (ThinkingBlock(written), TextBlock("No."))


async def test_a_call_in_the_text_behind_reasoning_in_its_own_field_runs() -> None:
    chunks = (delta(reasoning_content="hm"), delta("\n</think>\n" + render("glm", *LS)))
    completion = await complete(*chunks, delta(finish="stop"))
    assert completion.blocks[0] == ThinkingBlock("hm")
    assert uses(completion) == [LS]
    assert not any(isinstance(block, TextBlock) for block in completion.blocks)


@pytest.mark.parametrize(
    "left", ["</tool_call>", "<|tool_calls_section_begin|>\n<|tool_calls_section_end|>", "<|call|>"]
)
async def test_marks_that_a_server_left_beside_its_own_calls_are_no_text(left: str) -> None:
    structured = calls(call_delta(0, "a", name="Bash", arguments='{"command": "ls"}'))
    completion = await complete(delta(left), structured, delta(finish="tool_calls"))
    assert uses(completion) == [LS]
    assert len(completion.blocks) == 1


async def test_text_beside_a_servers_own_calls_stays() -> None:
    structured = calls(call_delta(0, "a", name="Bash", arguments='{"command": "ls"}'))
    completion = await complete(delta("Now </tool_call>"), structured, delta(finish="tool_calls"))
    assert completion.blocks[0] == TextBlock("Now </tool_call>")


BY_CALLS: tuple[Family, ...] = ("harmony", "minimax_m2", "mistral", "mistral_json", "gemma4")


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(BY_CALLS)))
def test_most_models_are_sent_their_own_words(family: Family) -> None:
    assert sent(family)[0] == {"role": "assistant", "content": "the model's own words"}


@pytest.mark.parametrize("family", BY_CALLS)
def test_where_the_template_refuses_a_calls_text_it_is_sent_calls_and_reasoning(
    family: Family,
) -> None:
    message, answer = sent(family)
    (call,) = message.pop("tool_calls")
    assert message == {"role": "assistant", "content": "I look.", "reasoning_content": "hm"}
    assert call["function"] == {"name": "Bash", "arguments": '{"command":"ls"}'}
    assert answer["tool_call_id"] == call["id"]


@pytest.mark.parametrize("family", ["mistral", "mistral_json"])
def test_mistrals_templates_are_given_ids_of_nine_letters_and_digits(family: Family) -> None:
    (call,) = sent(family)[0]["tool_calls"]
    assert len(call["id"]) == 9
    assert call["id"].isalnum()


def test_another_server_is_sent_its_ids_and_no_reasoning() -> None:
    message, answer = sent(None)
    assert "reasoning_content" not in message
    assert answer["tool_call_id"] == "toolu_1"
