"""What an agent under test is: how to start it, and how its tools are called.

An agent is a value, not a process: it turns a `Task` into a `Command`, and something else runs
that. So one can see, and test, what would be started without starting it.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from ccpa.errors import CcpaError
from ccpa.fixtures import Settings
from ccpa.person import Person
from ccpa.process import clean_environment
from ccpa.sandbox.talk import Talk
from ccpa.scripted.adapt import Offered

Wire = Literal["chat", "messages", "responses"]

KEY = "scripted"
"""The API key that agents are given: servers on loopback want none, clients want to send one."""


MCP_TIMEOUT_MS = "30000"
"""How long agents that know `MCP_TIMEOUT` wait for servers: a busy machine is no drift."""

_TRUST = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


class Task(Struct, frozen=True, kw_only=True):
    """What an agent is to do, and where. All paths are as the agent sees them.

    Args:
        prompts: what it is asked, in order.
        cwd: the working directory.
        home: its home directory: empty, and nobody else's.
        trace: the file that its trace goes to, if it writes one.
        base_url: where the model is: `http://HOST:PORT/v1`.
        model: the model's name.
        settings: how it is to be started.
        person: who is there to be asked, if anybody is.
        goes_on: whether this goes on with the last session in the directory.
        search_url: where a SearXNG is, if there is one.
        certificate: a file with the certificate that servers show, if there are any.
    """

    prompts: tuple[str, ...]
    cwd: str
    home: Path
    trace: Path
    base_url: str
    model: str
    settings: Settings = Settings()
    person: Person | None = None
    goes_on: bool = False
    search_url: str | None = None
    certificate: Path | None = None


class Command(Struct, frozen=True, kw_only=True):
    """A process to start. `files` are written first: text by absolute path.

    `talk` is what is said on its standard input and to what it says; without, that is empty.
    """

    argv: tuple[str, ...]
    environment: dict[str, str]
    files: dict[Path, str] = {}
    talk: Talk | None = None


class Unsuited(CcpaError):
    """An agent cannot be given such a task; the message says what it lacks."""


class Agent(Protocol):
    """One agent."""

    @property
    def name(self) -> str:
        """Kebab case, as in a trace's `actor`."""

    @property
    def wire(self) -> Wire:
        """How it speaks to its model."""

    @property
    def writes_trace(self) -> bool:
        """Whether it writes `Task.trace` itself; else a trace is made from the wire."""

    @property
    def tools(self) -> Mapping[str, Offered]:
        """The recorded name of a tool -> what this agent calls it. Same names need no entry."""

    def command(self, task: Task) -> Command:
        """Return what to start.

        Raises:
            Unsuited: it cannot be given such a task.
            CcpaError: it is not installed.
        """


def program(name: str, install: str) -> str:
    """Return the path of an installed program.

    Args:
        name: as it is typed.
        install: the command that installs it, for the message.

    Raises:
        CcpaError: it is not on PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise CcpaError(f"{name} was not found on PATH; to install it: {install}")
    return found


def only_prompt(task: Task, agent: str) -> str:
    """Return the prompt of a task that is one prompt and nothing else.

    Raises:
        Unsuited: there is more to the task, and the agent is told one prompt.
    """
    if len(task.prompts) != 1:
        raise Unsuited(f"{len(task.prompts)} prompts in one session; {agent} takes one")
    if task.goes_on:
        raise Unsuited(f"it goes on with an earlier session; {agent} is started on new ones")
    if task.person is not None:
        raise Unsuited(f"a person is asked in it; {agent} has nobody to ask")
    return task.prompts[0]


def environment(task: Task, **more: str) -> dict[str, str]:
    """Return a clean environment with the agent's own home and what `more` says.

    Proxies are switched off for loopback, which is where the model is.
    """
    loopback = "127.0.0.1,localhost"
    known = {"NO_PROXY": loopback, "no_proxy": loopback}
    if task.certificate is not None:
        known |= dict.fromkeys(_TRUST, str(task.certificate))
    return clean_environment(task.home) | known | more


def host(base_url: str) -> str:
    """Return the base URL without `/v1`, as clients of Anthropic's wire want it."""
    return base_url.removesuffix("/").removesuffix("/v1")
