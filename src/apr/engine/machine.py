"""What the machine can give to a model: memory and processors."""

import os
from pathlib import Path

from msgspec import Struct

from apr.engine.state import EngineError
from apr.models.header import ModelInfo

MIB = 1 << 20
OVERHEAD = 256 * MIB
"""What a loaded model takes beside weights, context and logits: the program, compute buffers."""
BATCH = 512
"""Tokens evaluated at once (llama.cpp's `n_ubatch`): each has a row of logits."""
LEAST_CONTEXT = 2048
"""Less is of no use to an agent; a model that was trained for less is taken as it is."""
MOST_CACHE_MIB = 8192
MOST_SLOTS = 4
SMALL = 32 * MIB
"""Bytes of weights below which a second thread gains nothing, not even on an idle machine."""

_CGROUP = Path("/sys/fs/cgroup")


class Plan(Struct, frozen=True):
    """What to load a model with."""

    context: int
    """Tokens that each conversation may have."""
    slots: int
    """Conversations that are computed at a time; each has memory for a whole context of its own.

    llama.cpp could let them share one, but then fails all of them when together they fill it.
    """
    cache_mib: int
    """Memory for the prompts of conversations that are not in a slot at the moment."""


def plan(
    info: ModelInfo,
    free: int,
    *,
    context: int | None = None,
    slots: int | None = None,
    most_slots: int = MOST_SLOTS,
) -> Plan:
    """Divide `free` bytes of memory; `context` and `slots` are wishes.

    Without a wish the context is what the model was trained for, or as much of it as half of the
    memory beside the weights holds; then half of what is left goes to more slots, up to
    `most_slots`, and half of the rest to the cache. No model has more context than it was trained
    for. All further slots take no more than the model with its first: llama.cpp fills their memory
    with zeros at once, which nobody gets back and the start waits for.

    Raises:
        EngineError: the model, or what was wished for, does not fit.
    """
    left = free - needed(info, context=0)
    per_token = max(1, info.kv_bytes_per_token)
    if context is None:
        fitting = max(left // 2 // per_token // (slots or 1), 0) // 256 * 256
        context = max(fitting, LEAST_CONTEXT)
    context = min(context, info.context_length)
    left -= context * per_token * (slots or 1)
    if left < 0:
        raise EngineError(
            f"Not enough memory for {info.name} with a context of {context:,} tokens: it needs "
            f"{(free - left) / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free.\n"
            "Close other programs, stop idle engines (apr engine stop --all), ask for a smaller "
            "context (--ctx), or use a smaller model."
        )
    if slots is None:
        spare = min(left // 2, needed(info, context=context))
        slots = 1 + min(most_slots - 1, spare // max(1, context * per_token))
        left -= (slots - 1) * context * per_token
    return Plan(context, slots, min(MOST_CACHE_MIB, left // 2 // MIB))


def needed(info: ModelInfo, *, context: int) -> int:
    """Return the bytes that a loaded model takes, with one conversation of `context` tokens."""
    logits = BATCH * info.vocabulary * 4
    return info.size + OVERHEAD + logits + context * info.kv_bytes_per_token


def free_memory() -> int:
    """Return the bytes that a new process can have without anybody's memory being swapped out."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # macOS: most of the memory, as nothing tells what could be freed
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4 * 3
    fields = dict(line.split(":", 1) for line in lines)
    free = int(fields["MemAvailable"].split()[0]) * 1024
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit is None or used is None:
        return free
    cached = _cgroup("memory.stat", after="file") or 0  # counted as used, but given back on demand
    return min(free, limit - used + cached)


def threads(info: ModelInfo) -> int | None:
    """Return how many threads to compute with; None for one on each core, the engine's default.

    The threads of a step wait for each other in a loop, so one that has lost its processor to
    another program holds up all. A small model is done sooner by one thread: on two busy cores,
    the demo model generates 2,000 tokens a second with one thread and 30 to 500 with two.
    """
    return 1 if info.size < SMALL else processors()


def processors() -> int | None:
    """Return how many processors we are confined to; None where that is all there are."""
    count = total = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    quota = _cgroup("cpu.max")
    if quota and (period := _cgroup("cpu.max", after=str(quota))):
        count = min(count, max(1, round(quota / period)))
    return count if count < total else None


def _cgroup(name: str, *, after: str | None = None) -> int | None:
    """Read a number of this process's control group (version 2); None where there is no limit.

    It is the first word of the file `name`, or the one that follows the word `after`.
    """
    try:
        group = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
        words = (_CGROUP / group / name).read_text().split()
        return int(words[words.index(after) + 1 if after else 0])
    except (OSError, ValueError, IndexError):
        return None
