"""The marks that model families put around calls and reasoning: spellings, as data.

A mark has a `form`: which notation it belongs to. One notation can be that of several families, and
`OWN` says which notations a family was trained on: those are believed on less evidence than others.
"""

from enum import Enum, auto

from apr.providers.toolcalls.families import Family


class Kind(Enum):
    """What a token is."""

    TEXT = auto()
    NEWLINE = auto()
    FENCE = auto()
    """A run of backticks or of tildes: Markdown's quotation marks."""
    CALL = auto()
    """Opens a call, or a section of calls."""
    END_CALL = auto()
    FUNCTION = auto()
    END_FUNCTION = auto()
    PARAMETER = auto()
    END_PARAMETER = auto()
    END_KEY = auto()
    """Ends a key of which the beginning is missing."""
    ENTRY = auto()
    """Opens one call of a section: the name follows."""
    ID = auto()
    """Behind a name: the call's id follows."""
    ARGUMENTS = auto()
    """Behind a name: the arguments follow."""
    END_ENTRY = auto()
    QUOTE = auto()
    """Begins or ends a string that escapes nothing."""
    THINK = auto()
    END_THINK = auto()
    HEADER = auto()
    """Begins the header of a message: for whom it is, and on which channel."""
    MESSAGE = auto()
    """Ends the header; the message follows."""
    END_MESSAGE = auto()
    STOP = auto()
    """The model's own sign that it is done; of no meaning to anybody else."""
    END = auto()
    """The model ended its output; `raw` is empty."""
    CUT = auto()
    """The output was cut off (a token limit); `raw` is empty."""


ENDS = frozenset({Kind.END, Kind.CUT})


def _wide(words: str) -> list[str]:
    """Return the spellings of a DeepSeek token: other tokenizers and models write it in ASCII."""
    spelled = [words.replace(" ", gap) for gap in ("▁", "_", " ", "\\_")]
    return [f"<{bar}{word}{bar}>" for bar in "｜|" for word in spelled]


def _spellings() -> dict[str, tuple[Kind, str]]:
    marks: dict[str, tuple[Kind, str]] = {
        "</function>": (Kind.END_FUNCTION, "function"),
        "</invoke>": (Kind.END_FUNCTION, "invoke"),
        "</parameter>": (Kind.END_PARAMETER, ""),
        "</arg_value>": (Kind.END_PARAMETER, "glm"),
        '<|"|>': (Kind.QUOTE, "gemma"),
        "[CALL_ID]": (Kind.ID, "mistral"),
        "[ARGS]": (Kind.ARGUMENTS, "mistral"),
        "<|start|>": (Kind.HEADER, "harmony"),
        "<|channel|>": (Kind.HEADER, "harmony"),
        "<|message|>": (Kind.MESSAGE, "harmony"),
    }
    for opener, closer, form in (
        ("<tool_call>", "</tool_call>", "tool_call"),
        ("<seed:tool_call>", "</seed:tool_call>", "seed"),
        ("<minimax:tool_call>", "</minimax:tool_call>", "minimax"),
        ("<function_calls>", "</function_calls>", "dsml"),
        ("<|tool_call>", "<tool_call|>", "gemma"),
        ("<|tool_call|>", "<|/tool_call|>", "bars"),
        ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "kimi"),
        ("<|tool_call_section_begin|>", "<|tool_call_section_end|>", "kimi"),
        ("<|python_tag|>", "<|eom_id|>", "python_tag"),
        ("<|python_start|>", "<|python_end|>", "python_tag"),
        ("<TOOLCALL>", "</TOOLCALL>", "nemotron"),
        ("<tool_calls>", "</tool_calls>", "list"),
        ("<tools>", "</tools>", "tools"),
    ):
        marks[opener] = (Kind.CALL, form)
        marks[closer] = (Kind.END_CALL, form)
    marks["<|tool_call_start|>"] = (Kind.CALL, "lfm")  # its closer is spelled as Kimi's is
    marks["[TOOL_CALLS]"] = (Kind.CALL, "mistral")
    marks["[/TOOL_CALLS]"] = (Kind.END_CALL, "mistral")
    for kind, form, words in (
        (Kind.CALL, "deepseek", "tool calls begin"),
        (Kind.END_CALL, "deepseek", "tool calls end"),
        (Kind.ENTRY, "deepseek", "tool call begin"),
        (Kind.END_ENTRY, "deepseek", "tool call end"),
        (Kind.ARGUMENTS, "deepseek", "tool sep"),
        (Kind.ARGUMENTS, "kimi", "tool call argument begin"),
    ):
        marks |= dict.fromkeys(_wide(words), (kind, form))
    marks["<｜tool▁calls｜>"] = (Kind.CALL, "deepseek")
    for bar in "｜|":
        dsml = f"{bar}DSML{bar}"
        for gap in ("", " "):
            for word in ("function_calls", "tool_calls", "calls"):
                marks[f"<{dsml}{gap}{word}>"] = (Kind.CALL, "dsml")
                marks[f"</{dsml}{gap}{word}>"] = (Kind.END_CALL, "dsml")
            marks[f"</{dsml}{gap}invoke>"] = (Kind.END_FUNCTION, "dsml")
            marks[f"</{dsml}{gap}parameter>"] = (Kind.END_PARAMETER, "dsml")
    for opener, closer, form in (
        ("<think>", "</think>", ""),
        ("<seed:think>", "</seed:think>", "seed"),
        ("[THINK]", "[/THINK]", "mistral"),
        ("<|channel>thought", "<channel|>", "gemma"),
    ):
        marks[opener] = (Kind.THINK, form)
        marks[closer] = (Kind.END_THINK, form)
    for end in ("<|end|>", "<|call|>", "<|return|>"):
        marks[end] = (Kind.END_MESSAGE, "harmony")
    for stop in (
        "<|im_end|>", "<|eot_id|>", "<|eot|>", "<|endoftext|>", "<｜end▁of▁sentence｜>",
        "<turn|>", "[e~[", "</s>", "<|end_of_text|>", "<|observation|>",
    ):  # fmt: skip
        marks[stop] = (Kind.STOP, "")
    return marks


MARKS = _spellings()

OWN: dict[Family | None, frozenset[str]] = {
    None: frozenset(),
    "qwen_xml": frozenset(),
    "hermes_json": frozenset({"tools"}),
    "glm": frozenset(),
    "kimi_k2": frozenset({"kimi", "deepseek", "named"}),
    "deepseek_v3": frozenset({"deepseek", "kimi", "named"}),
    "deepseek_v31": frozenset({"deepseek", "kimi", "named"}),
    "deepseek_v32": frozenset({"dsml", "deepseek"}),
    "deepseek_v4": frozenset({"dsml", "deepseek"}),
    "minimax_m2": frozenset({"minimax"}),
    "seed_oss": frozenset({"seed"}),
    "mistral_json": frozenset({"mistral", "named"}),
    "mistral": frozenset({"mistral", "named"}),
    "harmony": frozenset({"harmony"}),
    "llama_json": frozenset({"python_tag", "json"}),
    "llama_pythonic": frozenset({"python_tag", "json", "python"}),
    "lfm2": frozenset({"lfm", "python"}),
    "gemma4": frozenset({"gemma"}),
    "phi4_mini": frozenset({"bars"}),
    "granite": frozenset({"bars"}),
    "nemotron_json": frozenset({"nemotron"}),
}
"""The forms that are a family's own. `<tool_call>` is everybody's: all models take to it. "json",
"named" and "python" are calls without any mark around them."""
