"""Raw model text -> text, reasoning and tool calls.

`stream.Parser` reads all forms whatever the model was asked to write, because models mix them up.
The family is what a model was trained to *write*: it decides how an earlier call is shown to it
again, and how much evidence a form needs.
"""

from collections.abc import Callable, Mapping
from typing import Any

from apr.providers.toolcalls.marks import Family

__all__ = ["Family", "family_of", "render"]

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


def render(family: Family, name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call as a model of the family writes it."""
    from apr.providers.toolcalls.rendering import RENDERERS

    return RENDERERS[family](name, arguments)
