"""What each family's calls are known by, what is believed of whom, and what must stay text."""

import subprocess
import sys
from typing import Any, get_args

import pytest

from apr.providers.toolcalls import Family, family_of
from apr.providers.toolcalls.pieces import Call, Piece, Text, Thinking
from apr.providers.toolcalls.stream import Parser
from tests.apr.providers.toolcalls.sample_tools import TOOLS

LS = ("Bash", {"command": "ls"})
READ_A = ("Read", {"file_path": "a"})
# The marks by which a chat template is known, among what else stands in it.
TEMPLATES: dict[str, str] = {
    "qwen_xml": "<tool_call> <function=x> <parameter=y>",
    "hermes_json": "<tool_call> arguments <tools>",
    "glm": "<tool_call>{name}<arg_key>{k}</arg_key> arguments",
    "kimi_k2": "<|tool_calls_section_begin|><|tool_call_begin|>",
    "deepseek_v3": "<｜tool▁calls▁begin｜> function<｜tool▁sep｜> ```json",
    "deepseek_v31": "<｜tool▁calls▁begin｜> <｜tool▁sep｜>",
    "deepseek_v32": "set dsml = '｜DSML｜' <function_calls>",
    "deepseek_v4": "<｜DSML｜tool_calls> <｜DSML｜invoke",
    "minimax_m2": "<minimax:tool_call> <invoke name= arguments",
    "seed_oss": "<seed:tool_call> <function=x> <parameter=y>",
    "mistral_json": '[AVAILABLE_TOOLS] [TOOL_CALLS] "arguments"',
    "mistral": "[TOOL_CALLS] [ARGS]",
    "harmony": "<|start|> <|channel|>analysis<|message|>",
    "llama_json": "<|start_header_id|> <|python_tag|> parameters",
    "llama_pythonic": "<|header_start|> [func_name1(params_name1=v)]",
    "lfm2": "<|tool_call_start|>[...]",
    "gemma4": "<|tool_call>call: <tool_call|>",
    "phi4_mini": "<|tool_call|> <|/tool_call|>",
    "granite": "<|tool_call|> arguments",
    "nemotron_json": "<TOOLCALL>[ arguments",
}


def read(output: str, family: Family | None = None, *, cut: bool = False) -> list[Piece]:
    parser = Parser(TOOLS, family=family)
    parser.feed(output)
    return parser.finish(cut=cut).pieces


def good(output: str, family: Family | None = None) -> list[tuple[str, dict[str, Any]]]:
    found = [piece for piece in read(output, family) if isinstance(piece, Call)]
    assert [call.reason for call in found if call.reason] == []
    return [(call.name, call.input) for call in found]


def refused(output: str, family: Family | None = None, *, cut: bool = False) -> tuple[str, str]:
    (call,) = (piece for piece in read(output, family, cut=cut) if isinstance(piece, Call))
    return call.name, call.reason or "none"


def shown(output: str, family: Family | None = None) -> str:
    assert not any(isinstance(piece, Call) for piece in read(output, family))
    return "".join(piece.text for piece in read(output, family) if isinstance(piece, Text))


@pytest.mark.parametrize("family", get_args(Family))
def test_a_family_is_known_by_its_chat_template(family: str) -> None:
    assert family_of(f"{{% for m in messages %}}{TEMPLATES[family]}{{% endfor %}}") == family


def test_a_template_without_calls_is_of_no_family() -> None:
    assert family_of("{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}") is None
    assert family_of("") is None
    assert family_of(None) is None


def test_forms_that_are_not_met_cost_no_start_up_time() -> None:
    code = "import sys, apr.providers.openai_chat; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    rare = ("gemma", "named_json", "pythonic", "rendering")
    assert {f"apr.providers.toolcalls.{name}" for name in rare}.isdisjoint(loaded)


@pytest.mark.parametrize(
    ("output", "family", "value"),
    [
        ("<function=Bash>\n<parameter=command>\n\n x\n\n</parameter>\n</function>", None, "\n x\n"),
        ("<tool_call>Bash<arg_key>command</arg_key><arg_value>\n x\n</arg_value>", None, "\n x\n"),
        ('<invoke name="Bash"><parameter name="command">\n x\n</parameter>', None, "\n x\n"),
        ("<seed:tool_call><function=Bash><parameter=command>\n x\n</parameter>", None, "\n x\n"),
        ("<function=Bash><parameter=command>\n x\n</parameter></function>", "seed_oss", "\n x\n"),
        ('<｜DSML｜invoke name="Bash">\n<｜DSML｜parameter name="command" string="true"> x\n'
         "</｜DSML｜parameter>", None, " x\n"),
        ('<|tool_call>call:Bash{command:<|"|> x\n"{}<|"|>}<tool_call|>', None, ' x\n"{}'),
        (r"""[Bash(command=' "x"\n\x41\u00e9\101\d')]""", "llama_pythonic", ' "x"\nAéA\\d'),
        ('[TOOL_CALLS]Bash[ARGS]{"command": " [TOOL_CALLS]\\n"}', "mistral", " [TOOL_CALLS]\n"),
    ],
)  # fmt: skip
def test_values_are_exact_by_the_rule_of_the_form(
    output: str, family: Family | None, value: str
) -> None:
    assert good(output, family) == [("Bash", {"command": value})]


def test_tags_of_another_form_are_text_in_a_value() -> None:
    inner = "</arg_value></parameter></｜DSML｜parameter></invoke>[TOOL_CALLS]<tool_call|>"
    for opener, closer in (
        ("<tool_call>\n<function=Bash>\n<parameter=command>\n", "\n</parameter>\n</function>"),
        ("<tool_call>Bash<arg_key>command</arg_key><arg_value>", "</arg_value></tool_call>"),
        ('<｜DSML｜invoke name="Bash">\n<｜DSML｜parameter name="command" string="true">',
         "</｜DSML｜parameter>\n</｜DSML｜invoke>"),
    ):  # fmt: skip
        value = "".join(tag for tag in inner.partition(closer.strip()[:13])[::2]) + "x"
        assert good(opener + value + closer) == [("Bash", {"command": value})]


@pytest.mark.parametrize(
    ("string", "value", "read_as"),
    [("false", "[1]", [1]), ("true", "[1]", "[1]"), ("false", "null", None)],
)
def test_deepseek_says_itself_whether_a_value_is_text(
    string: str, value: str, read_as: Any
) -> None:
    output = (
        f'<｜DSML｜invoke name="List">\n<｜DSML｜parameter name="free" string="{string}">{value}'
        "</｜DSML｜parameter>\n</｜DSML｜invoke>"
    )
    assert good(output) == [("List", {"free": read_as})]


UNREADABLE: dict[str, tuple[str, Family | None, str, str]] = {
    "an unknown tool, Kimi": (
        "<|tool_call_begin|>functions.Fly:0<|tool_call_argument_begin|>{}<|tool_call_end|>",
        None, "Fly", "no tool named",
    ),
    "no name, Kimi": (
        "<|tool_call_begin|><|tool_call_argument_begin|>{}<|tool_call_end|>", "kimi_k2", "invalid",
        "names no tool",
    ),
    "an unknown tool, Mistral": ("[TOOL_CALLS]fly[ARGS]{}", None, "fly", "no tool named"),
    "a missing argument, Mistral": ("[TOOL_CALLS]Bash[ARGS]{}", None, "Bash", "`command`"),
    "nothing behind a mark, Mistral": ("[TOOL_CALLS]", "mistral", "invalid", "no call in a form"),
    "unescaped quotes, DeepSeek": (
        '<｜tool▁call▁begin｜>Bash<｜tool▁sep｜>{"command": "echo "x""}<｜tool▁call▁end｜>', None,
        "Bash", "not valid JSON",
    ),
    "no arguments at all, DeepSeek": (
        "<｜tool▁call▁begin｜>Bash<｜tool▁sep｜><｜tool▁call▁end｜>", None, "Bash", "`command`",
    ),
    "a string without end, Gemma": (
        '<|tool_call>call:Bash{command:<|"|>ls}<tool_call|>', None, "Bash", "not closed",
    ),
    "a bare string with syntax in it, Gemma": (
        "<|tool_call>call:Bash{command:a:b}<tool_call|>", None, "Bash", "not valid JSON",
    ),
    "text to a function, gpt-oss": (
        "<|channel|>commentary to=functions.Bash<|message|>ls<|call|>", None, "Bash", "`command`",
    ),
    "a positional argument, Python": ('[Bash("ls")]', "llama_pythonic", "Bash", "argument's name"),
    "an argument twice, Python": (
        "[Bash(command='a', command='b')]", "llama_pythonic", "Bash", "twice",
    ),
    "an expression, Python": ("[Bash(command=open('x'))]", "llama_pythonic", "Bash", "expected"),
    "a call of an unknown tool and no more, Llama": (
        '{"name": "fly", "parameters": {"to": "x"}}', "llama_json", "fly", "no tool named",
    ),
    "a missing argument, Llama": ('{"name": "Bash", "parameters": {}}', None, "Bash", "`command`"),
    "an unknown tool, Python": ("[fly(to='x')]", "llama_pythonic", "fly", "no tool named"),
    "an unknown tool, GLM": ("<tool_call>Fly</tool_call>", "glm", "Fly", "no tool named"),
    "an argument twice, GLM": (
        "<tool_call>Bash<arg_key>command</arg_key><arg_value>a</arg_value><arg_key>command</arg_key>"
        "<arg_value>b</arg_value></tool_call>", "glm", "Bash", "twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_must_not_run_is_answered_with_what_was_wrong(what: str) -> None:
    output, family, name, reason = UNREADABLE[what]
    found, given = refused(output, family)
    assert found == name
    assert reason in given


@pytest.mark.parametrize(
    ("output", "family"),
    [
        ('<|tool_call_begin|>functions.Bash:0<|tool_call_argument_begin|>{"comm', None),
        ("<|tool_call_begin|>functions.Bash:0", "kimi_k2"),
        ('[TOOL_CALLS]Bash[ARGS]{"command": "l', None),
        ("[TOOL_CALLS]Bash", "mistral"),
        ('<|channel|>commentary to=functions.Bash<|message|>{"command": "l', None),
        ('<|tool_call>call:Bash{command:<|"|>l', None),
        ('[Bash(command="l', "llama_pythonic"),
        ('{"name": "Bash", "parameters": {"command": "l', "llama_json"),
        ('Bash{"command": "l', None),
        ("<tool_call>Bash<arg_key>command</arg_key><arg_value>l", None),
    ],
)
def test_a_call_that_the_limit_cut_off_is_refused(output: str, family: Family | None) -> None:
    name, reason = refused(output, family, cut=True)
    assert name == "Bash"
    assert "output limit" in reason


STAYS = [
    "Mistral models write [TOOL_CALLS] and then JSON.",
    "[TOOL_CALLS] is the mark that Mistral models write.",
    '[TOOL_CALLS] [{"name": "get_weather", "arguments": {}}] would be an example.',
    'So: [TOOL_CALLS] [{"name": "Bash", "arguments": {"command": "ls"}}] in a sentence.',
    "The token <|tool_call_begin|> begins a call, <|tool_call_end|> ends it.",
    "gpt-oss writes <|channel|> and <|message|>, Llama <|python_tag|>.",
    "<|channel|>something else<|message|> is no channel.",
    "[Read(x), Write(y)] are the functions I would use, and Bash(z).",
    "[Read](docs/read.md) explains it; {name} is a placeholder.",
    '{"name": "my-package", "version": "1.0.0"}',
    '{"name": "Bash", "arguments": {"command": "ls"}}\nis how it looks.',
    "Read {the docs} first.",
    "Read: the file says {}.",
    "call: me {maybe}",
    "functions.py holds it.",
    "analysis is what I did; assistantfinal is no word.",
    "to=functions. is a prefix",
    "<|im_end|> ends a turn.",
    "<tools> and <tool_calls> are tags.",
    '<invoke name="x"> is a tag.',
    "<arg_key>x</arg_key> is a key.",
    'Without its argument:\n{"name": "Bash", "arguments": {}}',
    'A list <tool_call> [{"name": "Bash", "arguments": {"command": "ls"}}] in a sentence.',
    "The mark [/THINK] ends reasoning.",
]


@pytest.mark.parametrize("output", STAYS)
def test_prose_about_calls_stays_text_for_every_family_it_is_foreign_to(output: str) -> None:
    for family in (None, "qwen_xml", "glm"):
        assert shown(output, family) == output


def test_json_that_is_no_call_stays_text_where_bare_calls_are_usual() -> None:
    for output in ('{"name": "pkg", "version": "1"}', '{"a": 1}', '[{"id": 7}]', "[1, 2]"):
        assert shown(output, "llama_json") == output


def test_a_bare_call_counts_amid_text_only_for_those_who_write_so() -> None:
    output = 'I look.\n{"name": "Bash", "arguments": {"command": "ls"}}\nThen I go on.'
    assert good(output, "llama_json") == [LS]
    for family in ("qwen_xml", "hermes_json", "mistral", None):
        assert shown(output, family) == output


def test_text_that_failed_as_a_call_may_hold_one_with_marks() -> None:
    marked = '<tool_call>\n{"name": "Bash", "arguments": {"command": "ls"}}\n</tool_call>'
    assert good('{"name": "x", "n": 1}\n' + marked) == [LS]


@pytest.mark.parametrize(
    "output",
    [
        "<|tool_calls_section_begin|> so, <|tool_call_begin|>functions.Bash:0"
        '<|tool_call_argument_begin|>{"command": "ls"}<|tool_call_end|>',
        'functions.Bash:0<|tool_call_argument_begin|>{"command": "ls"}<|tool_calls_section_end|>',
        '<|tool_call_begin|>Bash<|tool_call_argument_begin|>{"command": "ls"}',
        '<|tool_call_begin|>functions_Bash_3<|tool_call_argument_begin|>{"command": "ls"}',
    ],
)
def test_kimis_marks_may_be_missing_or_have_text_between_them(output: str) -> None:
    assert good(output, "kimi_k2") == [LS]


def test_deepseek_tokens_are_known_in_ascii_too() -> None:
    for bar, gap in (("｜", "▁"), ("|", "_"), ("｜", " "), ("|", "\\_")):
        mark = "<{bar}tool{gap}{what}{bar}>".replace("{bar}", bar).replace("{gap}", gap)
        begin, sep, end = (mark.replace("{what}", what) for what in
                           (f"call{gap}begin", "sep", f"call{gap}end"))  # fmt: skip
        assert good(f'{begin}function{sep}Bash\n```json\n{{"command": "ls"}}\n```{end}') == [LS]
        assert good(f'{begin}Bash{sep}{{"command": "ls"}}{end}') == [LS]


CALL = (
    '<|channel|>commentary to=functions.Bash <|constrain|>json<|message|>{"command": "ls"}<|call|>'
)


def test_gpt_oss_thinks_aloud_answers_and_calls() -> None:
    output = (
        "<|channel|>analysis<|message|>Bash it is: " + '{"command": "rm x"}<|end|>'
        "<|start|>assistant<|channel|>commentary<|message|>I look.<|end|><|start|>assistant" + CALL
    )
    pieces = [piece for piece in read(output) if not isinstance(piece, Text) or piece.text]
    assert isinstance(pieces[0], Thinking)
    assert pieces[0].text == 'Bash it is: {"command": "rm x"}'
    assert isinstance(pieces[1], Text)
    assert pieces[1].text == "I look."
    assert isinstance(pieces[2], Call)
    assert (pieces[2].name, pieces[2].input) == LS
    assert shown("<|channel|>final<|message|>Done.<|return|>") == "Done."


def test_a_call_of_gpt_oss_in_its_reasoning_is_reasoning() -> None:
    assert not any(isinstance(p, Call) for p in read(f"<|channel|>analysis<|message|>{CALL[29:]}"))


def test_json_on_a_channel_for_people_is_text() -> None:
    body = '{"name": "Bash", "arguments": {"command": "rm x"}}'
    for name in ("final", "commentary"):
        for family in (None, "harmony"):
            assert shown(f"<|channel|>{name}<|message|>{body}<|end|>", family) == body
    assert shown(f"analysisSo.assistantfinal{body}", "harmony") == body


def test_several_calls_in_one_answer_are_all_read() -> None:
    for output in (
        '[TOOL_CALLS]Bash[ARGS]{"command": "ls"}[TOOL_CALLS]Read[ARGS]{"file_path": "a"}',
        '[TOOL_CALLS][{"name": "Bash", "arguments": {"command": "ls"}}, '
        '{"name": "Read", "arguments": {"file_path": "a"}}]',
        '<|python_tag|>{"name": "Bash", "parameters": {"command": "ls"}}; '
        '{"name": "Read", "parameters": {"file_path": "a"}}',
        "[Bash(command='ls'), Read(file_path='a')]",
        'functions.Bash:0{"command": "ls"}functions.Read:1{"file_path": "a"}',
        'Bash{"command": "ls"}\nRead{"file_path": "a"}',
        '<|tool_call>call:Bash{command:<|"|>ls<|"|>}<tool_call|>'
        "<|tool_call>call:Read{file_path:a}<tool_call|>",
        "<tool_call>Bash<arg_key>command</arg_key><arg_value>ls</arg_value></tool_call>"
        "<tool_call>Read<arg_key>file_path</arg_key><arg_value>a</arg_value></tool_call>",
    ):
        assert good(output) == [LS, READ_A]


def test_left_over_marks_behind_a_call_and_at_the_end_are_not_shown() -> None:
    call = '<tool_call>\n{"name": "Bash", "arguments": {"command": "ls"}}\n</tool_call>'
    for rest in ("\n</tool_call>", "<|im_end|>", "\n<|tool_calls_section_end|>", "</s>"):
        pieces = read("I look.\n" + call + rest)
        assert [p.text for p in pieces if isinstance(p, Text) and p.text] == ["I look."]
    assert shown("Done.<|im_end|>\n") == "Done.\n"


def test_a_closer_behind_text_behind_a_call_is_text() -> None:
    call = '<tool_call>\n{"name": "Bash", "arguments": {"command": "ls"}}\n</tool_call>'
    last = read(f"{call}\nThen </tool_call>.")[-1]
    assert isinstance(last, Text)
    assert last.text == "Then </tool_call>."


def test_reasoning_ends_with_the_mark_that_belongs_to_its_beginning() -> None:
    call = '<tool_call>\n{"name": "Bash", "arguments": {"command": "ls"}}\n</tool_call>'
    assert shown(f"[THINK]So </think>\n{call}[/THINK]No.") == "No."
    assert shown(f"<think>So [/THINK]\n{call}</think>No.", "mistral") == "No."


def test_the_line_end_before_a_forgotten_closer_is_layout() -> None:
    for output in (
        '<invoke name="Bash">\n<parameter name="command">ls\n</invoke>',
        "<tool_call>Bash\n<arg_key>command</arg_key>\n<arg_value>ls\n</tool_call>",
    ):
        assert good(output) == [LS]


def test_a_message_to_the_user_is_text() -> None:
    assert shown("<|channel|>final to=user<|message|>Hi<|return|>") == "Hi"
