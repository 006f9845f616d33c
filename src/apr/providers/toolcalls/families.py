"""The families of models, by the form that they write calls in."""

from collections.abc import Callable
from typing import Literal

Family = Literal[
    "qwen_xml",
    "hermes_json",
    "glm",
    "kimi_k2",
    "deepseek_v3",
    "deepseek_v31",
    "deepseek_v32",
    "deepseek_v4",
    "minimax_m2",
    "seed_oss",
    "mistral_json",
    "mistral",
    "harmony",
    "llama_json",
    "llama_pythonic",
    "lfm2",
    "gemma4",
    "phi4_mini",
    "granite",
    "nemotron_json",
]
"""How a model was trained to write calls; docs/tool-calls-families.md says which models do so."""

_Known = tuple[Family, Callable[[str], bool]]


def _has(*marks: str) -> Callable[[str], bool]:
    return lambda template: all(mark in template for mark in marks)


# The first that fits: what only one family has stands before what several have.
_TEMPLATES: tuple[_Known, ...] = (
    ("deepseek_v4", _has("DSML", "tool_calls>")),
    ("deepseek_v32", _has("DSML")),
    ("seed_oss", _has("<seed:tool_call>")),
    ("minimax_m2", _has("<minimax:tool_call>")),
    ("gemma4", _has("<|tool_call>", "<tool_call|>")),
    ("lfm2", _has("<|tool_call_start|>")),
    ("kimi_k2", _has("<|tool_calls_section_begin|>")),
    ("deepseek_v3", _has("<｜tool▁calls▁begin｜>", "```json")),
    ("deepseek_v31", _has("<｜tool▁calls▁begin｜>")),
    ("mistral", _has("[TOOL_CALLS]", "[ARGS]")),
    ("mistral_json", _has("[TOOL_CALLS]")),
    ("harmony", _has("<|channel|>", "<|message|>")),
    ("glm", _has("<tool_call>", "<arg_key>")),
    ("qwen_xml", _has("<tool_call>", "<function=", "<parameter=")),
    ("nemotron_json", _has("<TOOLCALL>")),
    ("phi4_mini", _has("<|tool_call|>", "<|/tool_call|>")),
    ("phi4_mini", _has("<|tool|>", "<|/tool|>")),
    ("granite", _has("<|tool_call|>")),
    ("hermes_json", _has("<tool_call>", "arguments")),
    ("llama_pythonic", _has("<|header_start|>", "func_name")),
    ("llama_json", _has("<|start_header_id|>", "parameters")),
    ("llama_json", _has("<|header_start|>", "parameters")),
)


def family_of(template: str | None) -> Family | None:
    """Return how a model with this chat template writes calls; None if in no form known here."""
    if not template:
        return None
    return next((family for family, fits in _TEMPLATES if fits(template)), None)
