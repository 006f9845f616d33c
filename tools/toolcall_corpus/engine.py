"""The parser of llama.cpp, as it is in the engine that this project ships.

It cannot be called by itself, but a request may end with the beginning of an answer, and then the
engine reads that together with what the model adds. Here the beginning is the whole output and the
model, the demo model, is made to add nothing. How calls are written the engine takes from the chat
template, so each family needs one of a model's.

Harmony is left out: there the engine takes the beginning of an answer for the text of its final
message, so that no output can be given to its parser in this way.

In operation llama.cpp also puts a grammar on what follows the mark that begins a call. Outputs that
do not match it then do not come to be: the model is made to write something else. What is read here
is the parser alone.
"""

import functools
import json
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from apr.providers.base import ToolSpec
from toolcall_corpus.cases import Case
from toolcall_corpus.judge import Got
from toolcall_corpus.parsers import Contestant, got, importing, openai_tool, without_reasoning

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def llama_cpp(tools: Sequence[ToolSpec], path: Path | None) -> Contestant:
    """Return the engine's parser; `path` has a chat template for a family in FAMILY.jinja.

    Raises:
        NotThereError: the engine cannot be imported.
    """
    engine = importing("xllamacpp")
    offered = [openai_tool(tool) for tool in tools]
    end = _end_token()

    def parse(case: Case) -> list[Got] | None:
        template = _template(case, path)
        if template is None:
            return None
        request = {
            "messages": [
                {"role": "user", "content": "Go on."},
                {"role": "assistant", "content": without_reasoning(case.raw)},
            ],
            "tools": offered,
            "max_tokens": 1,
            "logit_bias": [[end, 1000]],
        }
        message = _server(engine, template)(request)["choices"][0]["message"]
        calls = [call["function"] for call in message.get("tool_calls") or ()]
        return [got(call["name"], call["arguments"]) for call in calls]

    return Contestant("llama.cpp", f"in xllamacpp {engine.__version__}", parse)


def _template(case: Case, folder: Path | None) -> str | None:
    """Return the template for a case; without a folder, that of the demo model for its family."""
    if case.family == "harmony":
        return None
    if folder is None:
        own = resources.files("apr.data") / "demo" / "chat_template.jinja"
        return own.read_text("utf-8") if case.family == "qwen_xml" else None
    for name in (f"{case.family}-{case.generation}.jinja", f"{case.family}.jinja"):
        if (folder / name).is_file():
            return (folder / name).read_text("utf-8")
    return None


@functools.lru_cache(maxsize=1)
def _server(engine: Any, template: str) -> Answer:
    """Start the engine with a chat template; return how to ask it."""
    parameters = engine.CommonParams()
    parameters.model.path = str(_model())
    parameters.chat_template = template
    parameters.use_jinja = True
    parameters.n_ctx = 8192
    parameters.n_parallel = 1
    server = engine.Server(parameters)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        replies: list[str] = []
        server.handle_chat_completions(json.dumps(request), replies.append)
        reply: dict[str, Any] = json.loads(replies[-1])
        if "choices" not in reply:
            raise RuntimeError(reply.get("error", reply))
        return reply

    return answer


def _model() -> Path:
    return Path(str(resources.files("apr.data") / "demo.gguf"))


def _end_token() -> int:
    """Return the number of the token that ends the demo model's answers."""
    field = importing("gguf").GGUFReader(_model()).fields["tokenizer.ggml.eos_token_id"]
    return int(field.contents())
