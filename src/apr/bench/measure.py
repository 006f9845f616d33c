"""The measurement: the same tokens through apr and through bare llama.cpp, turn about."""

import asyncio
import contextlib
import os
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from apr.answer import ask
from apr.bench.memory import peak
from apr.engine import machine
from apr.engine.client import Endpoint, attach
from apr.engine.state import EngineError
from apr.models.header import ModelInfo
from apr.providers.base import ProviderError, Request, Speed, UserMessage
from apr.providers.local import LocalModel
from apr.serve.engine import Engine

WORDS = ("the", "agent", "reads", "a", "file", "and", "writes", "what", "was", "asked", "of", "it")
START_S = 600.0


class Sample(Struct, frozen=True, kw_only=True):
    """One answer. Seconds and tokens."""

    engine: Speed
    """The engine's own account."""
    first_token_s: float
    total_s: float

    @property
    def overhead(self) -> float:
        """What part of the engine's own time the rest of the way takes on top of it."""
        return self.total_s / (self.engine.prefill_s + self.engine.output_s) - 1


class Measured(Struct, frozen=True, kw_only=True):
    """All samples, in the order they were taken; those of bare llama.cpp are their neighbours."""

    apr: list[Sample]
    bare: list[Sample]
    """Empty where there was no memory for the model a second time."""
    apr_memory: int
    """The most bytes that the engine's process has had in memory."""
    bare_memory: int | None


class Figure(Struct, frozen=True):
    """A measured number: the median, and the least and the greatest."""

    median: float
    least: float
    greatest: float


def figure(values: list[float]) -> Figure:
    """Sum up what was measured several times."""
    return Figure(statistics.median(values), min(values), max(values))


def prefill_speed(sample: Sample) -> float:
    """Return tokens a second, by the engine's own account."""
    return sample.engine.prefill_tokens / sample.engine.prefill_s


def output_speed(sample: Sample) -> float:
    """Return tokens a second, by the engine's own account."""
    return sample.engine.output_tokens / sample.engine.output_s


def over_bare(measured: Measured) -> Figure | None:
    """Return how much longer apr takes than its neighbour does, as a part of that."""
    if not measured.bare:
        return None
    pairs = zip(measured.apr, measured.bare, strict=True)
    return figure([apr.total_s / bare.total_s - 1 for apr, bare in pairs])


async def measure(
    info: ModelInfo,
    *,
    prompt_tokens: int,
    output_tokens: int,
    repetitions: int,
    step: Callable[[str], None],
) -> Measured:
    """Measure a model.

    Args:
        info: the model.
        prompt_tokens: about how many tokens a prompt has; none of it is remembered.
        output_tokens: exactly how many tokens an answer has, where the context allows it.
        repetitions: how often; one more in front is thrown away, for it warms up.
        step: told what comes next: `1 + repetitions` times for apr, and as often for llama.cpp.

    Raises:
        EngineError: the model cannot be loaded.
        ProviderError: the engine failed.
    """
    context = prompt_tokens + output_tokens + 512
    endpoint = await attach(info.path, ctx=context, keep_alive=0)
    engine = Engine(urlsplit(endpoint.base_url).port or 0, endpoint.api_key, info.name)
    provider = LocalModel(info.path, info.name, context=context, keep_alive=0)
    samples, bare_samples = [], []
    try:
        text = await _text(engine, prompt_tokens)
        async with _bare(info, context) as bare:
            for number in range(repetitions + 1):
                request = _request(f"{number} {text}", output_tokens)
                step("apr")
                samples.append(await _through_apr(provider, request))
                if bare is not None:
                    step("llama.cpp")
                    ids = await _tokens(engine, request)
                    bare_samples.append(await bare.answer(ids, output_tokens))
            return Measured(
                apr=samples[1:],
                bare=bare_samples[1:],
                apr_memory=peak(endpoint.pid),
                bare_memory=None if bare is None else peak(bare.pid),
            )
    finally:
        await provider.close()
        await engine.close()
        _end(endpoint)


def _end(endpoint: Endpoint) -> None:
    from apr.engine.process import end, started

    if since := started(endpoint.pid):
        end(endpoint.pid, since)


def _request(text: str, output_tokens: int) -> Request:
    return Request(
        system="",
        messages=(UserMessage(text),),
        max_tokens=output_tokens,
        temperature=0.0,
        options={"ignore_eos": True},
    )


async def _text(engine: Engine, tokens: int) -> str:
    """Return text of about so many tokens, in which no stretch repeats."""
    words = " ".join(f"{_word(number)}" for number in range(tokens))
    ids = (await engine.call("/tokenize", {"content": words}))["tokens"]
    return words[: len(words) * tokens // max(1, len(ids))]


def _word(number: int) -> str:
    return WORDS[number * number % 97 % len(WORDS)] if number % 7 else str(number)


async def _tokens(engine: Engine, request: Request) -> list[int]:
    """Return the very tokens that the request comes to."""
    (message,) = request.messages
    assert isinstance(message, UserMessage)  # noqa: S101 - as `_request` has made it
    messages = [{"role": "user", "content": message.text}]
    prompt = (await engine.call("/apply-template", {"messages": messages}))["prompt"]
    asked = {"content": prompt, "add_special": True, "parse_special": True}
    ids: list[int] = (await engine.call("/tokenize", asked))["tokens"]
    return ids


async def _through_apr(provider: LocalModel, request: Request) -> Sample:
    answered = await ask(provider, request)
    return Sample(
        engine=answered.speed,
        first_token_s=answered.first_token_s,
        total_s=answered.total_s,
    )


class _Bare:
    """The process of `apr.bench.bare`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process

    async def read(self) -> Any:
        """Return its next line.

        Raises:
            ProviderError: it has ended.
        """
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = await self._process.stdout.readline()
        if not line:
            raise ProviderError("llama.cpp without apr ended before it had answered.")
        return msgspec.json.decode(line)

    async def answer(self, ids: list[int], count: int) -> Sample:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.write(msgspec.json.encode({"prompt": ids, "n_predict": count}) + b"\n")
        await self._process.stdin.drain()
        said = await self.read()
        timings = said["timings"]
        prefill_s, output_s = timings["prompt_ms"] / 1000, timings["predicted_ms"] / 1000
        return Sample(
            engine=Speed(
                prefill_tokens=timings["prompt_n"],
                prefill_s=prefill_s,
                output_tokens=timings["predicted_n"],
                output_s=output_s,
            ),
            first_token_s=prefill_s,
            total_s=said["seconds"],
        )


@asynccontextmanager
async def _bare(info: ModelInfo, context: int) -> AsyncIterator[_Bare | None]:
    """Yield bare llama.cpp with the model in it; None if memory does not hold it once more."""
    try:
        machine.plan(info, machine.free_memory(), context=context, slots=1)
    except EngineError:
        yield None
        return
    words = (str(info.path.absolute()), str(context), str(machine.threads(info) or 0))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "apr.bench.bare", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(_environment()),
    )
    try:
        bare = _Bare(process)
        async with asyncio.timeout(START_S):
            await bare.read()
        yield bare
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _environment() -> Iterator[tuple[str, str]]:
    from apr.engine.client import PASSED_ON

    yield "GGML_NO_BACKTRACE", "1"
    yield from ((name, value) for name, value in os.environ.items() if name in PASSED_ON)
