"""What holds for every family: its calls round-trip, and hostile text does no harm."""

import itertools
from typing import Any, get_args

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import Family, render
from apr.providers.toolcalls.marks import MARKS
from apr.providers.toolcalls.pieces import Call, Piece, Text
from apr.providers.toolcalls.stream import Parser
from tests.apr.providers.toolcalls.sample_tools import TOOLS, tool
from tests.apr.providers.toolcalls.steps import steps

FAMILIES: tuple[Family, ...] = get_args(Family)
# Forms that escape nothing in a value: what looks like their own syntax there has two readings.
UNESCAPED = frozenset(
    {"qwen_xml", "seed_oss", "minimax_m2", "glm", "deepseek_v32", "deepseek_v4", "gemma4"}
)
FRAGMENTS = [
    *MARKS,
    "<function=Bash>",
    '<invoke name="Bash">',
    "<parameter=command>",
    '<parameter name="command">',
    '<｜DSML｜invoke name="Bash">',
    '<｜DSML｜parameter name="command" string="true">',
    "<arg_key>command</arg_key>",
    "<arg_key>",
    "</arg_key>",
    "functions.Bash:0",
    "Bash",
    "Bash(command=",
    "call:Bash{",
    "assistantfinal",
    "assistantcommentary to=functions.Bash json",
    "analysis",
    "<|channel|>commentary to=functions.Bash <|constrain|>json<|message|>",
    '{"name": "Bash", "arguments": {"command": "ls"}}',
    '{"command": "ls"}',
    '{"name": "',
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    '"',
    "'",
    "\\",
    "`",
    "```",
    "\n",
    " ",
    "text",
]
outputs = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=25).map("".join)
families = st.sampled_from([None, *FAMILIES])
keys = st.from_regex(r"[a-z][a-z_]{0,10}", fullmatch=True)
# A schema's type, and values of it.
TYPES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text() | outputs,
    "integer": st.integers(-(2**53), 2**53),
    "boolean": st.booleans(),
    "array": st.lists(st.text() | st.integers(-9, 9) | st.none(), max_size=3),
    "object": st.dictionaries(st.text(min_size=1), st.text() | st.booleans(), max_size=3),
}


@st.composite
def offered(draw: st.DrawFn) -> tuple[ToolSpec, dict[str, Any]]:
    """Return a tool with any schema, and a call's arguments that fit it."""
    types = draw(st.dictionaries(keys, st.sampled_from(sorted(TYPES)), max_size=4))
    arguments = {key: draw(TYPES[type_]) for key, type_ in types.items()}
    spec = tool("Made", list(types), **{key: {"type": t} for key, t in types.items()})
    return spec, arguments


def read(output: str, family: Family | None, *tools: ToolSpec, cut: bool = False) -> list[Piece]:
    parser = Parser(tools or TOOLS, family=family)
    parser.feed(output)
    return parser.finish(cut=cut).pieces


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one type, all the way down."""
    return repr(one) == repr(other)


few = settings(max_examples=25)  # for each family


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(offered())
def test_a_call_comes_back_as_it_was_written(
    family: Family, made: tuple[ToolSpec, dict[str, Any]]
) -> None:
    """Also where the model's family is not known; what could be read in two ways is refused."""
    spec, arguments = made
    written = render(family, spec.name, arguments)
    assume(family not in UNESCAPED or not any(_syntax(value) for value in arguments.values()))
    for known in (family, None):
        (call,) = read(written, known, spec)
        assert isinstance(call, Call)
        assert call.reason is None
        assert call.name == spec.name
        assert same(call.input, arguments)


def _syntax(value: Any) -> bool:
    text = value if isinstance(value, str) else repr(value)
    return any(
        mark in text for mark in ("<", "[TOOL", "[ARGS", "[CALL", "[/TOOL", "THINK]", "[e~[")
    )


@pytest.mark.parametrize("family", sorted(UNESCAPED))
@few
@given(made=offered())
def test_a_value_that_holds_the_syntax_around_it_never_runs_as_another_value(
    family: Family, made: tuple[ToolSpec, dict[str, Any]]
) -> None:
    """What no reader could notice is left out: a value that ends itself and begins another."""
    spec, arguments = made
    assume(not any(_begins_another(value) for value in arguments.values()))
    for call in read(render(family, spec.name, arguments), family, spec):
        if isinstance(call, Call) and call.reason is None:
            assert same(call.input, arguments)


def _begins_another(value: Any) -> bool:
    text = value if isinstance(value, str) else repr(value)
    return any(tag in text for tag in ("parameter", "arg_", "invoke", "function", '<|"|>'))


@given(outputs, families, st.data(), st.booleans())
@example("\n [TOOL_CALLS]shell[ARGS]{}", None, None, False)
def test_how_an_output_is_cut_into_pieces_changes_nothing(
    output: str, family: Family | None, data: st.DataObject | None, cut: bool
) -> None:
    whole = read(output, family, cut=cut)
    places = st.lists(st.integers(0, len(output)), max_size=6).map(sorted)
    ends = [*(data.draw(places) if data else ()), len(output)]
    for cuts in ([0, *ends], list(range(len(output) + 1))):
        parser = Parser(TOOLS, family=family)
        for start, end in itertools.pairwise(cuts):
            parser.feed(output[start:end])
        assert parser.finish(cut=cut).pieces == whole


@given(outputs, families, st.booleans())
def test_every_character_is_in_exactly_one_piece(
    output: str, family: Family | None, cut: bool
) -> None:
    assert "".join(piece.raw for piece in read(output, family, cut=cut)) == output


@given(outputs, families)
def test_only_offered_tools_run_and_only_with_what_they_need(
    output: str, family: Family | None
) -> None:
    required = {spec.name: set(spec.parameters["required"]) for spec in TOOLS}
    for piece in read(output, family):
        if isinstance(piece, Call) and piece.reason is None:
            assert required[piece.name] <= set(piece.input)


@pytest.mark.parametrize("family", FAMILIES)
@few
@given(made=offered(), data=st.data())
def test_a_call_that_is_cut_off_anywhere_never_runs_as_another(
    family: Family, made: tuple[ToolSpec, dict[str, Any]], data: st.DataObject
) -> None:
    spec, arguments = made
    assume(family not in UNESCAPED or not any(_syntax(value) for value in arguments.values()))
    written = render(family, spec.name, arguments)
    end = data.draw(st.integers(0, len(written)))
    for call in read(written[:end], family, spec, cut=True):
        if isinstance(call, Call) and call.reason is None:
            assert same(call.input, arguments)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("quoted", ["So:\n```\n{}\n```\nDone.", "Write `{}` to call.", "~~~\n{}\n"])
def test_a_quoted_call_of_any_family_is_text(family: Family, quoted: str) -> None:
    written = render(family, "Bash", {"command": "ls"}).replace("```", "")  # as DeepSeek V3 has
    output = quoted.replace("{}", written)
    pieces = read(output, family)
    assert [piece for piece in pieces if isinstance(piece, Call)] == []
    assert "".join(piece.text for piece in pieces if isinstance(piece, Text)) == output


THINKING = [("<think>\n", "\n</think>\n"), ("[THINK]", "[/THINK]")]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("thinking", THINKING)
def test_a_call_of_any_family_in_reasoning_never_runs(
    family: Family, thinking: tuple[str, str]
) -> None:
    opener, closer = thinking
    output = f"{opener}{render(family, 'Bash', {'command': 'ls'})}{closer}No need."
    assert not any(isinstance(piece, Call) for piece in read(output, family))
    assert not any(isinstance(piece, Call) for piece in read(output.removesuffix("No need."), None))


REPEATED = [
    "<|tool_calls_section_begin|>",
    "<|tool_call_begin|>",
    "<|tool_call_begin|>Bash",
    "<｜tool▁sep｜>",
    "[TOOL_CALLS]",
    "\n[TOOL_CALLS]Bash[ARGS]{",
    '[TOOL_CALLS][{"',
    "<|channel|>",
    "<|channel|>analysis<|message|>",
    "<|start|>assistant to=functions.Bash",
    '<|"|>',
    "<|tool_call>call:Bash{",
    "<arg_key>",
    "<tool_call>Bash<arg_key>command</arg_key>",
    "</arg_key>",
    '<invoke name="Bash">',
    "<|im_end|>",
    '\n{"name": ',
    '\n{"name": "Bash", "arguments": {}}\n',
    "\nBash{",
    "\nBash",
    "\n[Bash(",
    "functions.Bash:0{}",
    "assistantfinal",
    "assistant",
    " to=functions.Bash",
]


@pytest.mark.parametrize("unit", REPEATED)
@pytest.mark.parametrize("opening", ["", "<|tool_call>call:Write{content:", "[Write(content="])
@pytest.mark.parametrize("family", [None, "mistral", "harmony"])
def test_time_is_linear_in_the_length_of_the_output(
    family: Family | None, opening: str, unit: str
) -> None:
    few, many = (steps(TOOLS, family, opening, unit * count) for count in (8, 64))
    assert many <= 8 * 1.5 * few + 1000
