"""How an agent is started by the command that was typed, and what a trace calls its tools."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ccpa.agents.base import KEY, Agent, Command, host
from ccpa.errors import CcpaError
from ccpa.importers.values import JsonObject
from ccpa.process import clean_environment
from ccpa.scripted.adapt import Offered

Names = Callable[[str, JsonObject], tuple[str, JsonObject]]

_WITH_VERSION = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
_WITHOUT_VERSION = ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE")
_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")


def typed(
    words: Sequence[str], base_url: str, home: Path, *, more: Mapping[str, str] = {}
) -> Command:
    """Return the command that was typed, with its model told by environment and placeholders.

    `{base_url}` in a word is where the model is, with `/v1`; `{root_url}` is the same without.

    Args:
        words: program and arguments.
        base_url: where the model is.
        home: the agent's home directory.
        more: variables to add to its environment, or to replace in it.

    Raises:
        CcpaError: there is no such program.
    """
    places = {"{base_url}": base_url, "{root_url}": host(base_url)}
    argv = []
    for word in words:
        for placeholder, url in places.items():
            word = word.replace(placeholder, url)
        argv.append(word)
    environment = clean_environment(home)
    environment |= {name: value for name in ("TERM",) if (value := os.environ.get(name))}
    environment |= dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    environment |= dict.fromkeys(_WITH_VERSION, base_url)
    environment |= dict.fromkeys(_WITHOUT_VERSION, host(base_url))
    environment |= dict.fromkeys(_KEYS, KEY)
    environment |= more
    if shutil.which(argv[0], path=environment["PATH"]) is None:
        raise CcpaError(f"{argv[0]}: no such program, or it cannot be executed")
    return Command(argv=tuple(argv), environment=environment)


def name_of(words: Sequence[str]) -> str:
    """Return what a trace calls the agent whose command this is: its program's name."""
    return Path(words[0]).stem


def as_typed(name: str, given: JsonObject) -> tuple[str, JsonObject]:
    """Leave a tool's name and input as they are."""
    return name, given


def names_of(agent: Agent) -> Names:
    """Return what makes of an agent's tools those of a trace: its table of tools, read backwards.

    A tool that stands there for several keeps its own name: which was meant cannot be known.
    """
    recorded: dict[str, tuple[str, Offered]] = {}
    several: set[str] = set()
    for name, offered in agent.tools.items():
        if offered.name in recorded:
            several.add(offered.name)
        recorded[offered.name] = name, offered

    def translated(name: str, given: JsonObject) -> tuple[str, JsonObject]:
        if name not in recorded or name in several:
            return name, given
        known, offered = recorded[name]
        back = {theirs: ours for ours, theirs in offered.inputs.items()}
        return known, {back.get(key, key): value for key, value in given.items()}

    return translated
