"""The chunks of a chat completion -> events as they come, and the `Completion` at the end."""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from apr.agent.events import PrefillProgress, TextDelta, ThinkingDelta
from apr.providers.base import Completion, Request, Speed
from apr.providers.openai_calls import CallDelta, PartialCalls
from apr.providers.openai_request import beginning
from apr.providers.tool_use_ids import ToolUseIds
from apr.providers.toolcalls import Family, reasons
from apr.providers.toolcalls.hermes_json import read_arguments
from apr.providers.toolcalls.lexer import is_markup
from apr.providers.toolcalls.pieces import INVALID, Call, Piece, Text, Thinking
from apr.providers.toolcalls.repair import NotJSON, loads
from apr.providers.toolcalls.stream import Parser
from ccpa.trace import MAX_INTEGER, Block, TextBlock, ThinkingBlock, ToolUseBlock, TurnStop, Usage

_STOPS: dict[str, TurnStop] = {"length": "max_tokens", "max_tokens": "max_tokens"}


class Delta(Struct, frozen=True):
    """What a chunk adds to the message, or the whole message of an answer that is not streamed."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    tool_calls: list[CallDelta] | None = None


class Choice(Struct, frozen=True):
    """One alternative; there is one. `stop_reason` is vLLM's name for the stop sequence met."""

    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    stop_reason: Any = None


class PromptDetails(Struct, frozen=True):
    """Which tokens of the prompt were not evaluated anew."""

    cached_tokens: int | None = None


class TokenCounts(Struct, frozen=True):
    """The standard's account of tokens."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None


class Timings(Struct, frozen=True):
    """llama.cpp's account: `prompt_n` tokens were evaluated, `cache_n` remembered."""

    prompt_n: int = 0
    prompt_ms: float = 0.0
    cache_n: int = 0
    predicted_n: int = 0
    predicted_ms: float = 0.0


class Progress(Struct, frozen=True):
    """llama.cpp's progress through the prompt; `processed` includes `cache`."""

    total: int = 0
    cache: int = 0
    processed: int = 0


class Verbose(Struct, frozen=True):
    """What llama.cpp adds when it is asked to."""

    stopping_word: str = ""


class Chunk(Struct, frozen=True):
    """One event of the stream."""

    choices: list[Choice] | None = None
    usage: TokenCounts | None = None
    timings: Timings | None = None
    prompt_progress: Progress | None = None
    error: Any = None
    object: str | None = None
    verbose: Verbose | None = msgspec.field(default=None, name="__verbose")


class Answer:
    """One answer as it comes in."""

    def __init__(
        self, request: Request, model: str, ids: ToolUseIds, *, family: Family | None
    ) -> None:
        self.finish_reason: str | None = None
        self.begun = False
        self._request = request
        self._model = model
        self._ids = ids
        self._keep_raw = family is not None
        if request.tool_choice == "none":
            self._parser = Parser((), family=family)
        else:
            self._parser = Parser(request.tools, known=request.known, family=family)
        self._tools = self._parser.tools
        self._calls = PartialCalls(frozenset(self._tools))
        begun = beginning(request, family)
        self._content = [begun] if begun else []
        self._parser.feed("<think>\n" if request.reasoning_begun else begun)
        self._reasoning: list[str] = []
        self._stop_sequence = ""
        self._counts: TokenCounts | None = None
        self._timings: Timings | None = None

    def take(self, chunk: Chunk) -> list[TextDelta | ThinkingDelta | PrefillProgress]:
        """Take a chunk; return what can be shown of it."""
        events: list[TextDelta | ThinkingDelta | PrefillProgress] = []
        if progress := chunk.prompt_progress:
            events.append(PrefillProgress(progress.processed, progress.total, progress.cache))
        self._counts = chunk.usage or self._counts
        self._timings = chunk.timings or self._timings
        if chunk.verbose:
            self._stop_sequence = chunk.verbose.stopping_word or self._stop_sequence
        for choice in chunk.choices or ():
            self.begun = True
            self.finish_reason = choice.finish_reason or self.finish_reason
            if isinstance(choice.stop_reason, str):
                self._stop_sequence = choice.stop_reason
            delta = choice.delta or choice.message
            if delta is None:
                continue
            reasoning = delta.reasoning_content or delta.reasoning
            if isinstance(reasoning, str) and reasoning:
                self._reasoning.append(reasoning)
                events.append(ThinkingDelta(reasoning))
            if delta.content:
                self._content.append(delta.content)
                events += self._parser.feed(delta.content)
            for call in delta.tool_calls or ():
                self._calls.add(call)
        return events

    def finish(self) -> tuple[list[TextDelta | ThinkingDelta], Completion]:
        """End the answer: return what is left to show, and the whole."""
        cut = _STOPS.get(self.finish_reason or "") == "max_tokens" or bool(self._stop_sequence)
        parsed = self._parser.finish(cut=cut)
        structured = [
            self._structured(call.name, call.arguments, cut=cut) for call in self._calls.calls
        ]
        given = [call.id for call in self._calls.calls]
        blocks: list[Block] = []
        malformed: dict[str, str] = {}
        if self._reasoning:
            blocks.append(ThinkingBlock("".join(self._reasoning)))
        recovered = [piece for piece in parsed.pieces if not _left_over(piece, structured)]
        for piece, id_ in [*((p, "") for p in recovered), *zip(structured, given, strict=True)]:
            block = self._block(piece, id_)
            if block is None:
                continue
            blocks.append(block)
            if isinstance(block, ToolUseBlock) and isinstance(piece, Call) and piece.reason:
                malformed[block.id] = piece.reason
        return parsed.deltas, Completion(
            blocks=tuple(blocks),
            stop_reason=self._stop(blocks),
            usage=self._usage(),
            model=self._model,
            raw="".join(self._content) if self._keep_raw else None,
            malformed=malformed,
            stop_sequence=self._stop_sequence or None,
            speed=self._speed(),
        )

    def _structured(self, name: str, arguments: str, *, cut: bool) -> Call:
        call = read_arguments(name or INVALID, arguments, self._tools)
        if cut and call.reason and not _readable(arguments):
            call = msgspec.structs.replace(call, reason=reasons.CUT_OFF)
        if call.reason and not call.input:
            call = msgspec.structs.replace(call, input={"raw": arguments})
        return call

    def _block(self, piece: Piece, given_id: str) -> Block | None:
        match piece:
            case Text(text):
                return TextBlock(text) if text else None
            case Thinking(text):
                return ThinkingBlock(text) if text else None
            case Call(name, arguments):
                return ToolUseBlock(self._ids.take(self._request, given_id), name, arguments)

    def _stop(self, blocks: Iterable[Block]) -> TurnStop:
        stop = _STOPS.get(self.finish_reason or "")
        if stop:
            return stop
        if any(isinstance(block, ToolUseBlock) for block in blocks):
            return "tool_use"
        return "stop_sequence" if self._stop_sequence else "end_turn"

    def _speed(self) -> Speed | None:
        timings = self._timings
        if timings is None:
            return None
        return Speed(
            prefill_tokens=timings.prompt_n,
            prefill_s=timings.prompt_ms / 1000,
            output_tokens=timings.predicted_n,
            output_s=timings.predicted_ms / 1000,
        )

    def _usage(self) -> Usage:
        """Return the server's own counts; what it does not say is 0, never a guess."""
        counts = self._counts or TokenCounts()
        timings = self._timings or Timings()
        details = counts.prompt_tokens_details or PromptDetails()
        prompt = timings.prompt_n + timings.cache_n
        answer, read = counts.completion_tokens, timings.cache_n or details.cached_tokens or 0
        return Usage(
            input_tokens=_count(prompt if counts.prompt_tokens is None else counts.prompt_tokens),
            output_tokens=_count(timings.predicted_n if answer is None else answer),
            cache_read_tokens=_count(read),
        )


def _left_over(piece: Piece, calls: list[Call]) -> bool:
    """Whether a piece of the text is only what the server left of the `calls` it has sent."""
    if isinstance(piece, Call):
        return any((piece.name, piece.input) == (call.name, call.input) for call in calls)
    return bool(calls) and isinstance(piece, Text) and is_markup(piece.text)


def _readable(arguments: str) -> bool:
    try:
        loads(arguments)
    except NotJSON:
        return False
    return True


def _count(said: int) -> int:
    """Return a number of tokens as a record can hold it: some servers say -1 for none."""
    return min(max(said, 0), MAX_INTEGER)
