"""Which prompts end inside of the model's reasoning.

The templates of some models open it themselves, so that the answer holds only its end. Until that
comes, nothing in the text tells it from an answer. The template knows: the engine is asked to
render it, once for each set of its options.
"""

from typing import Any

import msgspec

from apr.providers.base import AssistantMessage, Forced, ProviderError, Request
from apr.serve.engine import Engine

OPENER = "<think>"
_MOST = 64
"""Sets of options that are remembered; a client chooses them."""


class Reasoning:
    """What the template of an engine's model does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[bytes, bool] = {}

    async def begun(self, request: Request) -> bool:
        """Return whether the prompt of a request ends inside of reasoning."""
        if isinstance(request.tool_choice, Forced):
            return False
        if request.messages and isinstance(request.messages[-1], AssistantMessage):
            return False
        kwargs = request.options.get("chat_template_kwargs")
        key = msgspec.json.encode(kwargs)
        if key not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = await opens(self._engine, kwargs)
        return self._known[key]


async def opens(engine: Engine, kwargs: Any = None) -> bool:
    """Return whether the template of an engine's model opens the model's reasoning itself.

    `kwargs` are the options that the template is given.
    """
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    if kwargs is not None:
        body["chat_template_kwargs"] = kwargs
    try:
        rendered = await engine.call("/apply-template", body)
    except ProviderError:
        return False  # the request itself will say what is wrong
    return str(rendered["prompt"]).rstrip().endswith(OPENER)
