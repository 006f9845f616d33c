"""What models really emit, and what is made of it: `outputs.toml` and some more."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from apr.providers.base import ToolSpec
from apr.providers.toolcalls.pieces import Call, Text
from tests.apr.providers.toolcalls.sample_tools import (
    calls,
    good,
    read,
    refused,
    text,
    thinking,
    tool,
)

OUTPUTS = tomllib.loads((Path(__file__).parent / "outputs.toml").read_text())
READ = {f"{case['form']}: {case['shape']}": case for case in OUTPUTS["read"]}
REFUSED = {case["shape"]: case for case in OUTPUTS["refused"]}
XML = READ["xml: as specified"]["output"]
JSON = READ["json: as specified"]["output"]
TWO = READ["xml: two calls"]["output"]
LS = ("Bash", {"command": "ls"})
READ_A = ("Read", {"file_path": "a.py"})


def wanted(case: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(call["name"], call["input"]) for call in case["calls"]]


@pytest.mark.parametrize("shape", READ)
def test_a_call_is_read(shape: str) -> None:
    assert good(READ[shape]["output"]) == wanted(READ[shape])


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("offset", "72", 72),
        ("offset", "72.0000", 72),
        ("offset", " 72 ", 72),
        ("offset", "null", None),
        ("offset", "seven", "seven"),
        ("offset", "7.5", 7.5),
        ("timeout", "1.5e1", 15.0),
        ("replace_all", "True", True),
        ("replace_all", "false", False),
        ("replace_all", "perhaps", "perhaps"),
        ("items", '["a", "b"]', ["a", "b"]),
        ("items", "['a', 'b',]", ["a", "b"]),
        ("options", '{"deep": [1, {"x": null}]}', {"deep": [1, {"x": None}]}),
        ("command", '{"a": 1}', '{"a": 1}'),
        ("command", "True", "True"),
        ("command", "72.0000", "72.0000"),
        ("command", "null", "null"),
        ("command", "\n  two\n", "\n  two\n"),
        ("command", " x ", " x "),
        ("command", "x\r", "x\r"),
        ("command", "", ""),
    ],
)
def test_bare_values_get_the_type_the_schema_names(key: str, written: str, value: object) -> None:
    names = {"offset": "Read", "replace_all": "Edit", "items": "Todo", "options": "Todo"}
    opening = f"<tool_call>\n<function={names.get(key, 'Bash')}>\n<parameter={key}>\n"
    output = f"{opening}{written}\n</parameter>\n</function>\n</tool_call>"
    (call,) = calls(output)
    assert call.input == {key: value}
    assert type(call.input[key]) is type(value)


def test_a_schema_may_say_little_or_nonsense() -> None:
    either = {"oneOf": [{"type": ["null", "integer"]}]}
    odd = tool("Odd", [], any=True, choice={"enum": ["1", "2"]}, either=either)
    empty = ToolSpec("Empty", "", {"type": "object", "properties": None, "required": None})
    output = (
        "<tool_call>\n<function=Odd>\n<parameter=any>\n1\n</parameter>\n<parameter=choice>\n1\n"
        "</parameter>\n<parameter=either>\n1\n</parameter>\n</function>\n"
        "<function=Empty>\n<parameter=x>\n1\n</parameter>\n</function>\n</tool_call>"
    )
    first, second = read(output, tools=(odd, empty))
    assert isinstance(first, Call)
    assert isinstance(second, Call)
    assert first.input == {"any": "1", "choice": "1", "either": 1}
    assert second.input == {"x": "1"}


@pytest.mark.parametrize("shape", REFUSED)
def test_what_cannot_be_run_is_refused_with_a_reason_for_the_model(shape: str) -> None:
    case = REFUSED[shape]
    call = refused(case["output"])
    assert call.name == case["name"]
    assert case["reason"] in (call.reason or "")


def test_text_in_the_place_of_parameters_is_not_called_a_value() -> None:
    call = refused("<tool_call>\n<function=Read>\nsome words")
    assert "where <parameter=KEY> was expected" in (call.reason or "")


def test_json_a_thousand_levels_deep_is_refused() -> None:
    deep = "[" * 1000 + "]" * 1000
    output = f'<tool_call>\n{{"name": "Todo", "arguments": {{"items": {deep},}}}}\n</tool_call>'
    assert "nesting" in (refused(output).reason or "")


@pytest.mark.parametrize("shape", READ)
def test_a_call_that_is_cut_off_anywhere_never_runs_as_another_call(shape: str) -> None:
    output, expected = READ[shape]["output"], wanted(READ[shape])
    for end in range(len(output)):
        for call in calls(output[:end], cut=True):
            assert call.reason or (call.name, call.input) in expected


def test_a_call_that_is_cut_off_says_so() -> None:
    whole = XML.removesuffix("</tool_call>")
    for output in (whole[:40], whole[:55], whole[:62], '<tool_call>\n{"name": "Bash", "argum'):
        assert "output limit" in (refused(output, cut=True).reason or "")
    assert good(whole, cut=True) == [LS]


def test_calls_inside_a_value_that_is_cut_off_never_run() -> None:
    xml = f"<tool_call>\n<function=Write>\n<parameter=content>\n<function=x>\n{XML}\n{XML}\nand"
    json = '<tool_call>\n{"name": "Write", "arguments": {"content": "' + XML + XML
    for output in (xml, json):
        assert refused(output, cut=True).name == "Write"


def test_what_could_not_be_read_is_kept_as_raw_input() -> None:
    output = "<tool_call>\nBash ls\n</tool_call>"
    assert refused(output).input == {"raw": output}


QUOTED = {
    "in a fence": "So:\n```xml\n{}\n```\nDone.",
    "in a fence of tildes": "~~~\n{}\n~~~\n",
    "in a longer fence": "````\n```\n{}\n```\n````\n",
    "in an indented fence": "1. Do\n   ```\n{}\n   ```\n",
    "in a fence that is never closed": "```\n{}\n",
    "in a fence behind an unclosed backtick": "a ` b\n```\n{}\n```\n",
    "in inline code": "Write `{}` to call.",
    "in inline code with two backticks": "Write `` a ` {} `` to call.",
}


@pytest.mark.parametrize("where", QUOTED)
@pytest.mark.parametrize("call", [XML, JSON])
def test_a_quoted_call_is_text(where: str, call: str) -> None:
    output = QUOTED[where].replace("{}", call)
    assert calls(output) == []
    assert text(output) == output


MENTIONED = [
    "Qwen wraps calls in <tool_call> tags, and names them with <function=NAME>.",
    "The tags <tool_call></tool_call> and <function=x></function> are syntax.",
    "if a < b and c <d: f(<T>) </div> </tool_call> </function>",
    "<tool_cal",
    "<function=",
    "a <tool_call> <tool_call> <tool_call> b",
    "<function=NAME> is how a call begins.",
    "`<tool_call>",
    "x `` y <think> z",
]


@pytest.mark.parametrize("output", MENTIONED)
def test_tags_that_are_only_mentioned_are_text(output: str) -> None:
    assert read(output) == [Text(output, output)]


def test_without_tools_no_tag_is_a_call() -> None:
    assert read(XML, tools=()) == [Text(XML, XML)]


def test_reasoning_is_told_apart_and_calls_in_it_never_run() -> None:
    output = f"<think>\nI could {XML}\n</think>\n\nNo need."
    assert calls(output) == []
    assert thinking(output) == [f"I could {XML}"]
    assert text(output) == "No need."


def test_reasoning_that_never_ends_is_all_reasoning() -> None:
    assert calls(f"<think>\n{XML}") == []


def test_reasoning_whose_beginning_was_in_the_prompt_is_reasoning() -> None:
    output = f"Maybe {XML}\n</think>\n\nNo.\n{TWO}"
    assert thinking(output) == [f"Maybe {XML}"]
    assert good(output) == [LS, READ_A]


def test_white_space_next_to_a_call_is_no_text() -> None:
    output = f"\n\n{TWO}\n\n"
    assert text(output) == ""
    assert text(f"I look.\n\n{TWO}\n") == "I look."
