"""What holds for every output: nothing is lost or invented, however it is cut into pieces."""

import sys
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from apr.agent.events import TextDelta, ThinkingDelta
from apr.providers.toolcalls import Family, family_of, render
from apr.providers.toolcalls.pieces import Text, Thinking
from apr.providers.toolcalls.stream import Parser
from tests.apr.providers.toolcalls.sample_tools import TODO, TOOLS, calls, read

FRAGMENTS = [
    "<tool_call>",
    "</tool_call>",
    "<function=Bash>",
    "<function=Write>",
    "<function=nope>",
    "</function>",
    "<parameter=command>",
    "<parameter=content>",
    "<parameter=x",
    "</parameter>",
    "</parameter/>",
    "</parameter",
    "<tool_call id='1'>",
    "<think>",
    "</think>",
    "\n",
    " ",
    "`",
    "```",
    "~~~",
    '{"name": "Bash", "arguments": {"command": "ls"}}',
    '{"name": "Bash", "arguments": {"command": "',
    '"}}',
    "'",
    '"',
    "\\",
    "{",
    "}",
    "[",
    "]",
    "<",
    "text",
    "é",
    "\r",
    "\N{LINE SEPARATOR}",
]
outputs = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=40).map("".join)
plain = st.text(st.characters(codec="utf-8", exclude_characters="<["))
strings = st.text() | outputs
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain, inner, max_size=4),
    max_leaves=8,
)


@given(outputs, st.data(), st.booleans())
def test_how_the_output_is_cut_into_pieces_changes_nothing(
    output: str, data: st.DataObject, cut: bool
) -> None:
    places = data.draw(st.lists(st.integers(0, len(output)), max_size=10).map(sorted))
    parser = Parser(TOOLS)
    shown = []
    for start, end in zip([0, *places], [*places, len(output)], strict=True):
        shown += parser.feed(output[start:end])
    parsed = parser.finish(cut=cut)
    assert parsed.pieces == read(output, cut=cut)
    drip = Parser(TOOLS)
    for character in output:
        drip.feed(character)
    assert drip.finish(cut=cut).pieces == parsed.pieces


@given(outputs, st.booleans())
def test_every_character_is_in_exactly_one_piece(output: str, cut: bool) -> None:
    assert "".join(piece.raw for piece in read(output, cut=cut)) == output


@given(outputs)
def test_what_is_shown_while_it_comes_is_what_the_pieces_hold(output: str) -> None:
    parser = Parser(TOOLS)
    shown = [delta for character in output for delta in parser.feed(character)]
    parsed = parser.finish()
    shown += parsed.deltas
    # Text that was shown can turn out to have been reasoning: only then do they differ.
    assume(all(isinstance(p, Text) or p.raw.startswith("<think>") for p in parsed.pieces))
    for delta, piece in ((TextDelta, Text), (ThinkingDelta, Thinking)):
        assert "".join(d.text for d in shown if isinstance(d, delta)) == "".join(
            p.text for p in parsed.pieces if isinstance(p, piece)
        )


@given(plain)
def test_text_without_tags_comes_out_unchanged(output: str) -> None:
    assert "".join(piece.raw for piece in read(output)) == output
    assert all(isinstance(piece, Text) and piece.text == output for piece in read(output))


def test_a_plain_sentence_is_shown_word_by_word() -> None:
    parser = Parser(TOOLS)
    for word in ["Here", " is", " what", " I", " did", ":", " a", " <=", " b", "."]:
        assert "".join(delta.text for delta in parser.feed(word)) == word


def test_text_that_may_begin_a_call_is_held_back_only_until_it_is_clear() -> None:
    parser = Parser(TOOLS)
    assert parser.feed("See <func") == [TextDelta("See")]
    assert parser.feed("tion") == []
    assert parser.feed("s>") == [TextDelta(" <"), TextDelta("functions>")]


@given(
    st.dictionaries(st.sampled_from(["file_path", "old_string", "new_string"]), strings, min_size=3)
)
@example({"file_path": "</tool_call>", "old_string": "\n", "new_string": '"'})
def test_a_call_in_json_round_trips_whatever_its_strings_hold(arguments: dict[str, str]) -> None:
    (call,) = calls(render("hermes_json", "Edit", arguments))
    assert (call.name, call.input, call.reason) == ("Edit", arguments, None)


@given(
    st.dictionaries(st.sampled_from(["file_path", "old_string", "new_string"]), plain, min_size=3)
)
def test_a_call_in_xml_round_trips_whatever_plain_text_it_holds(arguments: dict[str, str]) -> None:
    (call,) = calls(render("qwen_xml", "Edit", arguments))
    assert (call.name, call.input, call.reason) == ("Edit", arguments, None)


@given(
    st.dictionaries(st.sampled_from(["file_path", "old_string", "new_string"]), strings, min_size=3)
)
@example({"file_path": "", "old_string": "", "new_string": "</tool_call><tool_call>"})
def test_a_call_in_xml_round_trips_or_is_refused(arguments: dict[str, str]) -> None:
    """The format escapes nothing, so a value can hold the very tags that end it.

    Where that leaves two readings, the call is refused; it never runs with half of a value. What no
    reader could notice is left out: a value that holds `</parameter>` and then another parameter.
    """
    written = render("qwen_xml", "Edit", arguments)
    assume(not any("<parameter=" in value for value in arguments.values()))
    assert [
        call
        for call in calls(written)
        if not call.reason and (call.name, call.input) != ("Edit", arguments)
    ] == []


@pytest.mark.parametrize("family", ["qwen_xml", "hermes_json"])
@given(items=st.lists(values, max_size=4), options=st.dictionaries(plain, values, max_size=4))
def test_lists_and_objects_round_trip(
    family: Family, items: list[Any], options: dict[str, Any]
) -> None:
    arguments = {"items": items, "options": options}
    (call,) = calls(render(family, TODO.name, arguments))
    assert (call.input, call.reason) == (arguments, None)


@given(st.text() | outputs)
def test_no_input_crashes(output: str) -> None:
    read(output)
    read(f"<tool_call>{output}")
    read(f"<tool_call>\n<function=Write>\n<parameter=content>\n{output}")
    read('<tool_call>\n{"name": "Write", "arguments": {' + output)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "`",
        "~",
        "` <tool_call> ",
        "<",
        "<tool_call>",
        "x <tool_call>",
        "\n<tool_call>\n",
        "</tool_call>",
        "<function=",
        "<function=Bash>",
        "\n<function=Bash>\n",
        "</parameter>",
        "<tool_call>\n<function=Bash>\n<parameter=command>\n<function=x>\n</parameter>\n</function>\n",
        '<tool_call>{"name": "Bash", "arguments": {"command": "',
        '<tool_call>{"name": "Bash"}',
        "<think>",
        "</think>",
        "\n```\n",
        " ",
        "\n",
        "{",
        "[",
        "\\",
    ],
)
@pytest.mark.parametrize(
    "opening", ["", "<tool_call>{", "<tool_call>\n<function=Write>\n<parameter=content>\n"]
)
def test_time_is_linear_in_the_length_of_the_output(opening: str, unit: str) -> None:
    """Eight times the output takes some eight times the steps, counted in lines of code."""

    def steps(repeats: int) -> int:
        count = 0

        def trace(frame: Any, event: str, argument: Any) -> Any:
            nonlocal count
            count += 1
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            parser = Parser(TOOLS)
            for _ in range(repeats):
                parser.feed(unit)
            parser.finish()
        finally:
            sys.settrace(before)
        return count

    assert steps(160) <= 8 * 1.5 * steps(20) + 500


TEMPLATES = {
    "qwen_xml": "…<tool_call>\n<function=example>\n<parameter=p>\nv\n</parameter>…",
    "hermes_json": '…<tool_call>\n{"name": <name>, "arguments": <arguments>}\n</tool_call>…',
    "glm": "<tool_call>{name}\n<arg_key>{k}</arg_key> arguments",
    "": "<tools>{tools}</tools> arguments",
}


@pytest.mark.parametrize("family", TEMPLATES)
def test_the_family_is_known_by_the_chat_template(family: str) -> None:
    assert family_of(TEMPLATES[family]) == (family or None)
    assert family_of(None) is None
    assert family_of("{% for m in messages %}{{ m.content }}{% endfor %}") is None
