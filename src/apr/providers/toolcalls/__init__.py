"""Raw model text -> text, reasoning and tool calls.

`stream.Parser` reads all forms whatever the model was asked to write, because models mix them up.
The family is what a model was trained to *write*: it decides how an earlier call is shown to it
again, and how much evidence a form needs.
"""

from collections.abc import Mapping
from typing import Any

from apr.providers.toolcalls.families import Family, family_of

__all__ = ["Family", "family_of", "render"]


def render(family: Family, name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call as a model of the family writes it."""
    from apr.providers.toolcalls.rendering import RENDERERS

    return RENDERERS[family](name, arguments)
