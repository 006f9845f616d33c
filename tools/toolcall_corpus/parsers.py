"""The parsers that are compared: this project's, and those of other engines where they are there.

A parser takes a case of a family and returns the calls it finds. The others come with a server that
takes reasoning out of the text before; that is done for them here, so that only the reading of
calls is compared. They are asked for the whole output at once, which is their easier path.
"""

import importlib
import importlib.metadata
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from apr.providers.base import ToolSpec
from apr.providers.toolcalls.pieces import Call
from apr.providers.toolcalls.stream import Parser
from toolcall_corpus.cases import Case
from toolcall_corpus.judge import Got

Parse = Callable[[Case], list[Got] | None]
"""Returns None where there is no parser for the family."""


class Contestant(Struct, frozen=True):
    """A parser to compare."""

    name: str
    version: str
    parse: Parse


class NotThereError(Exception):
    """A parser cannot be run here; the message says why."""


def ours(tools: Sequence[ToolSpec]) -> Contestant:
    """Return this project's parser."""

    def parse(case: Case) -> list[Got]:
        parser = Parser(tools, family=case.family)
        parser.feed(case.raw)
        pieces = parser.finish(cut=case.ended == "length").pieces
        return [(p.name, p.input) for p in pieces if isinstance(p, Call) and not p.reason]

    return Contestant("apr", importlib.metadata.version("apr-code"), parse)


def without_reasoning(text: str) -> str:
    """Return the output behind its reasoning, as a server's reasoning parser leaves it."""
    for opening, closing in (("<think>", "</think>"), ("[THINK]", "[/THINK]")):
        before, found, after = text.partition(closing)
        if found:
            return after
        if before.lstrip().startswith(opening):
            return ""
    return text


_VLLM = {
    "qwen_xml": "qwen3_coder",
    "hermes_json": "hermes",
    "glm": "glm47",
    "kimi_k2": "kimi_k2",
    "deepseek_v3": "deepseek_v3",
    "deepseek_v31": "deepseek_v31",
    "deepseek_v32": "deepseek_v32",
    "deepseek_v4": "deepseek_v4",
    "mistral": "mistral",
    "mistral_json": "mistral",
    "llama_json": "llama3_json",
    "llama_pythonic": "llama4_pythonic",
}
"""Which of vLLM's `--tool-call-parser` its documentation gives for a family."""

_SGLANG = {
    "qwen_xml": "qwen3_coder",
    "hermes_json": "qwen25",
    "glm": "glm47",
    "glm 4.5": "glm45",
    "kimi_k2": "kimi_k2",
    "deepseek_v3": "deepseekv3",
    "deepseek_v31": "deepseekv31",
    "deepseek_v32": "deepseekv32",
    "deepseek_v4": "deepseekv4",
    "mistral": "mistral",
    "mistral_json": "mistral",
    "harmony": "gpt-oss",
    "llama_json": "llama3",
    "llama_pythonic": "pythonic",
}
"""The same for SGLang."""


def vllm(tools: Sequence[ToolSpec], path: Path | None) -> Contestant:
    """Return vLLM's parsers. They read text alone, so a stand-in for a tokenizer does.

    Raises:
        NotThereError: vLLM or something it imports is missing.
    """
    protocol = importing("vllm.entrypoints.openai.chat_completion.protocol", path)
    parsers = importing("vllm.tool_parsers", path)
    offered = [protocol.ChatCompletionToolsParam(**openai_tool(tool)) for tool in tools]
    request = protocol.ChatCompletionRequest(
        messages=[{"role": "user", "content": ""}], model="m", tools=offered, tool_choice="auto"
    )

    def parse(case: Case) -> list[Got] | None:
        name = _VLLM.get(case.family)
        if name is None:
            return None
        parser_class = parsers.ToolParserManager.get_tool_parser(name)
        parser = parser_class(_Tokenizer(has_args=case.family != "mistral_json"), offered)
        found = parser.extract_tool_calls(without_reasoning(case.raw), request)
        return [got(call.function.name, call.function.arguments) for call in found.tool_calls]

    return Contestant("vllm", _version("vllm", path), parse)


def sglang(tools: Sequence[ToolSpec], path: Path | None) -> Contestant:
    """Return SGLang's detectors.

    Raises:
        NotThereError: SGLang or something it imports is missing.
    """
    protocol = importing("sglang.srt.entrypoints.openai.protocol", path)
    detectors = importing("sglang.srt.function_call.function_call_parser", path)
    offered = [protocol.Tool(**openai_tool(tool)) for tool in tools]

    def parse(case: Case) -> list[Got] | None:
        name = _SGLANG.get(f"{case.family} {case.generation}") or _SGLANG.get(case.family)
        if name is None:
            return None
        text = without_reasoning(case.raw)
        if case.family == "harmony":
            text = f"<|start|>assistant{text}"  # its detector looks for this, which the prompt has
        parser = detectors.FunctionCallParser(offered, name)
        if not parser.has_tool_call(text):
            return []
        _, calls = parser.parse_non_stream(text)
        return [got(call.name, call.parameters) for call in calls]

    return Contestant("sglang", _version("sglang", path), parse)


def importing(name: str, path: Path | None = None) -> Any:
    """Import a module, of a wheel unpacked at `path` where one is given.

    `path` stays where modules are looked for: these packages import more when they are used.

    Raises:
        NotThereError: it is missing, or something that it imports is.
    """
    if path and str(path.resolve()) not in sys.path:
        sys.path.insert(0, str(path.resolve()))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotThereError(f"{name} cannot be imported: {error}") from error


class _Tokenizer:
    """What vLLM's parsers ask of a tokenizer: that their marks are tokens of its vocabulary."""

    all_special_tokens: tuple[str, ...] = ()
    all_special_ids: tuple[int, ...] = ()

    def __init__(self, *, has_args: bool) -> None:
        marks = _MARKS if has_args else [mark for mark in _MARKS if mark != "[ARGS]"]
        self._ids = {mark: 1000 + place for place, mark in enumerate(marks)}
        self._ids |= {chr(code): code for code in range(128)}

    def get_vocab(self) -> dict[str, int]:
        return self._ids

    def encode(self, text: str, **_: Any) -> list[int]:
        return [self._ids.get(character, 0) for character in text]

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        texts = {number: text for text, number in self._ids.items()}
        return "".join(texts[number] for number in ids)


_MARKS = (
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_end|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_section_begin|>",
    "<|tool_call_section_end|>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁sep｜>",
    "[TOOL_CALLS]",
    "[ARGS]",
    "[CALL_ID]",
    "[THINK]",
    "[/THINK]",
    "<|python_tag|>",
    "<|im_start|>",
    "<|im_end|>",
)


def got(name: str | None, arguments: str) -> Got:
    """Return a call as a client reads it off the wire."""
    try:
        return name or "", json.loads(arguments or "{}")
    except ValueError:
        return name or "", None


def openai_tool(tool: ToolSpec) -> dict[str, Any]:
    """Return a tool as a request over chat completions has it."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _version(package: str, path: Path | None) -> str:
    """Return the version of a package, installed or unpacked with the metadata of its wheel."""
    found = importlib.metadata.distributions(name=package, path=[str(path)] if path else sys.path)
    return next((each.version for each in found), "unknown")
