"""`apr show`: what a model is, and what it needs on this machine."""

import argparse
import os
import sys
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from apr.legible import legible
from apr.models.removal import find
from apr.ui.amounts import number, size
from apr.ui.terminal import line

if TYPE_CHECKING:
    from apr.models.discovery import Found
    from apr.models.header import ModelInfo

EPILOG = """\
examples:
  apr show qwen3-coder
  apr show ./model.gguf
  apr show --json demo | jq .memory

exit codes: 0 it is sound, 1 it is broken, 3 there is no such model."""


class Memory(Struct, frozen=True, kw_only=True):
    """What loading a model takes here and now, in bytes."""

    free: int
    needed: int
    """With that context, for one conversation."""
    context: int
    """Tokens: as many as fit, or the fewest that are of use."""
    fits: bool


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = "Say what a model is, and what it needs on this machine."
    parser.epilog = EPILOG
    parser.add_argument("name", help="demo, a name from apr list, a short name, or a path")
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Print it; return the exit code.

    Raises:
        ModelNotFound: there is no such model.
    """
    model = find(args.name, os.environ)
    if args.json:
        print(msgspec.json.encode(_data(model)).decode())
    elif model.info is not None:
        _show(model, model.info)
    else:
        print(f"apr: {line(f'{model.path}: {model.problem}')}", file=sys.stderr)
    return int(model.info is None)


def _show(model: "Found", info: "ModelInfo") -> None:
    files = f"{len(model.parts)} files" if len(model.parts) > 1 else "1 file"
    experts = f", {info.experts_used} of {info.experts} experts used" if info.experts else ""
    family = _family(info)
    memory = _memory(info)
    fit = "free here" if memory.fits else "free here: it does not fit"
    for label, value in (
        ("name", model.name),
        ("title", info.name),
        ("file", str(model.path)),
        ("size", f"{size(model.size)} in {files}, {model.store}"),
        ("architecture", f"{info.architecture}, {info.layers} layers"),
        ("parameters", number(info.parameters) + experts),
        ("context", f"{info.context_length:,} tokens"),
        ("quantisation", info.quantisation),
        ("tool calls", family or "in no form that the chat template shows"),
        ("licence", info.license or "not stated in the file"),
        (
            "memory",
            f"{size(memory.needed)} with a context of {memory.context:,} tokens; "
            f"{size(memory.free)} {fit}",
        ),
    ):
        print(f"{label:<13} {line(value)}")


def _memory(info: "ModelInfo") -> Memory:
    """Return what the engine would load the model with."""
    from apr.engine.machine import LEAST_CONTEXT, free_memory, needed, plan
    from apr.engine.state import EngineError

    free = free_memory()
    try:
        context, fits = plan(info, free, slots=1).context, True
    except EngineError:
        context, fits = min(LEAST_CONTEXT, info.context_length), False
    takes = needed(info, context=context)
    return Memory(free=free, needed=takes, context=context, fits=fits)


def _family(info: "ModelInfo") -> str | None:
    from apr.providers.toolcalls import family_of

    return family_of(info.chat_template)


def _data(model: "Found") -> dict[str, object]:
    info = model.info
    data: dict[str, object] = {
        "name": legible(model.name),
        "path": legible(str(model.path)),
        "files": [legible(str(part)) for part in model.parts],
        "size": model.size,
        "store": model.store,
        "problem": legible(model.problem) if model.problem else None,
    }
    if info is None:
        return data
    return data | {
        "title": info.name,
        "architecture": info.architecture,
        "layers": info.layers,
        "parameters": info.parameters,
        "experts": info.experts,
        "experts_used": info.experts_used,
        "context_length": info.context_length,
        "quantisation": info.quantisation,
        "tool_calls": _family(info),
        "license": info.license,
        "memory": msgspec.to_builtins(_memory(info)),
    }
