"""Raw model text -> text, reasoning and tool calls.

`Parser` reads both formats whatever the model was asked to write, because models mix them up. The
family is what a model was trained to *write*: it decides how an earlier call is shown to it again.
"""

from collections.abc import Mapping
from typing import Any, Literal

from apr.providers.toolcalls import hermes_json, qwen_xml

Family = Literal["qwen_xml", "hermes_json"]


def family_of(template: str | None) -> Family | None:
    """Return how a model with this chat template writes calls; None if in no form known here."""
    if not template or "<tool_call>" not in template or "<arg_key>" in template:
        return None
    if "<function=" in template and "<parameter=" in template:
        return "qwen_xml"
    return "hermes_json" if "arguments" in template else None


def render(family: Family, name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call as a model of the family writes it."""
    if family == "qwen_xml":
        return qwen_xml.render(name, arguments)
    return hermes_json.render(name, arguments)
