"""How each family writes a call: for showing a model one whose exact text is not known."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from apr.providers.toolcalls import gemma, harmony, hermes_json, pythonic, tagged
from apr.providers.toolcalls.families import Family

Renderer = Callable[[str, Mapping[str, Any]], str]


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def _named(layout: str) -> Renderer:
    """Return a renderer of calls as a name and a JSON object, which `layout` has in %s and %s."""
    return lambda name, arguments: layout % (name, _json(dict(arguments)))


def _listed(opener: str, closer: str, key: str = "arguments") -> Renderer:
    """Return a renderer of calls as a list of JSON objects between marks."""
    return lambda name, arguments: opener + _json([{"name": name, key: dict(arguments)}]) + closer


def _bare(name: str, arguments: Mapping[str, Any]) -> str:
    return _json({"name": name, "parameters": dict(arguments)})


def _tags(form: str) -> Renderer:
    return partial(tagged.render, form=form)


def _lfm(name: str, arguments: Mapping[str, Any]) -> str:
    return f"<|tool_call_start|>{pythonic.render(name, arguments)}<|tool_call_end|>"


RENDERERS: dict[Family, Renderer] = {
    "qwen_xml": _tags("function"),
    "hermes_json": hermes_json.render,
    "glm": _tags("glm"),
    "kimi_k2": _named(
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.%s:0"
        "<|tool_call_argument_begin|>%s<|tool_call_end|><|tool_calls_section_end|>"
    ),
    "deepseek_v3": _named(
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>%s\n```json\n%s\n```"
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    ),
    "deepseek_v31": _named(
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>%s<｜tool▁sep｜>%s"
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    ),
    "deepseek_v32": _tags("dsml"),
    "deepseek_v4": _tags("dsml4"),
    "minimax_m2": _tags("minimax"),
    "seed_oss": _tags("seed"),
    "mistral_json": _listed("[TOOL_CALLS]", ""),
    "mistral": _named("[TOOL_CALLS]%s[ARGS]%s"),
    "harmony": harmony.render,
    "llama_json": _bare,
    "llama_pythonic": pythonic.render,
    "lfm2": _lfm,
    "gemma4": gemma.render,
    "phi4_mini": _listed("<|tool_call|>", "<|/tool_call|>"),
    "granite": _listed("<|tool_call|>", ""),
    "nemotron_json": _listed("<TOOLCALL>", "</TOOLCALL>"),
}
