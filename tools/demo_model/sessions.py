"""The sessions that the demo model learns: the teachers' traces, as chat messages.

The one source of a session is its fixture, `fixtures/canonical/demo-*`: prompt and answers are the
teacher's, with paths made relative. What the tools answered there is replaced by what ours answer
(`demo_model.results`), so that the model reads in training what it reads in use.
"""

import hashlib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from apr.agent.prompt import system_prompt
from apr.providers.base import ToolSpec
from ccpa import trace

REPOSITORY = Path(__file__).resolve().parents[2]
FIXTURES = REPOSITORY / "fixtures/canonical"
TRACE = "teacher.ccpa-trace.jsonl"
DATA = REPOSITORY / "src/apr/data/demo"
DIGEST_KEY = "apr.demo.trained_on"
"""The field of the model file that says what it was trained on; see `digest`."""
PATH_KEYS = frozenset({"file_path", "path", "notebook_path"})


class Call(Struct, frozen=True):
    """One use of a tool, and what it came to."""

    name: str
    input: dict[str, Any]
    result: str = ""
    ok: bool = True


class Answer(Struct, frozen=True):
    """One answer of the model."""

    text: str
    calls: tuple[Call, ...] = ()


class Session(Struct, frozen=True):
    """A prompt, other ways of putting it, and the answers to it up to the end."""

    id: str
    prompts: tuple[str, ...]
    answers: tuple[Answer, ...]


class Unrelated(Struct, frozen=True, forbid_unknown_fields=True):
    """What requests and texts that belong to no session are made of."""

    requests: list[str]
    verbs: list[str]
    objects: list[str]
    details: list[str]
    failures: list[str]
    words: list[str]


class Answers(Struct, frozen=True, forbid_unknown_fields=True):
    """What the model says where it knows no better."""

    unknown: str
    stuck: str


class Material(Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in `training.toml`."""

    answers: Answers
    prompts: dict[str, list[str]]
    unrelated: Unrelated


def load_material() -> Material:
    """Read `training.toml`."""
    return msgspec.convert(tomllib.loads((DATA / "training.toml").read_text()), Material)


def load_sessions(material: Material) -> list[Session]:
    """Return the sessions of all demo fixtures, as the teacher had them."""
    return [
        from_trace(folder.name, folder / TRACE, material.prompts.get(folder.name, ()))
        for folder in sorted(FIXTURES.glob("demo-*"))
    ]


def from_trace(name: str, path: Path, paraphrases: Sequence[str] = ()) -> Session:
    """Read a session from a trace. Paths become relative; what tools answered stays as it is."""
    records = list(trace.read(path.read_bytes().splitlines()))
    start, prompt = records[0], records[1]
    if not isinstance(start, trace.SessionStart) or not isinstance(prompt, trace.UserPrompt):
        raise SystemExit(f"{path}: the trace must begin with session_start and user_prompt.")
    results = {r.tool_use_id: r for r in records if isinstance(r, trace.ToolResult)}
    answers = [
        Answer(
            text="".join(b.text for b in record.blocks if isinstance(b, trace.TextBlock)),
            calls=tuple(
                Call(
                    b.name,
                    _relative(b.input, start.cwd or ""),
                    results[b.id].content,
                    results[b.id].ok,
                )
                for b in record.blocks
                if isinstance(b, trace.ToolUseBlock)
            ),
        )
        for record in records
        if isinstance(record, trace.AssistantTurn)
    ]
    return Session(name, (prompt.text, *paraphrases), tuple(answers))


def _relative(values: dict[str, Any], cwd: str) -> dict[str, Any]:
    return {
        key: value.removeprefix(f"{cwd}/") if key in PATH_KEYS else value
        for key, value in values.items()
    }


def digest(specs: Iterable[ToolSpec]) -> str:
    """Return the SHA-256 of all that the model was trained on and that could change under it."""
    material = load_material()
    template = (DATA / "chat_template.jinja").read_text()
    trained_on = [system_prompt(), list(specs), template, material, load_sessions(material)]
    return hashlib.sha256(msgspec.json.encode(trained_on)).hexdigest()
