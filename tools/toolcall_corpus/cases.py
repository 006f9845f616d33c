"""The corpus: what models wrote, and what must come of it. Its files say what a value is, and why.

A case has one outcome. `calls` must run, in this order; `refused` are attempts at a call that must
not run, so that the model is told what was wrong; both may stand in one output. `stays_text` has
neither. `or_calls` is a second reading of an output that reasonable people may read so.
"""

import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from apr.providers.base import ToolSpec
from apr.providers.toolcalls import Family

FOLDER = Path(__file__).parents[2] / "tests/apr/providers/toolcalls/corpus"


class Expected(Struct, frozen=True, forbid_unknown_fields=True):
    """A call that must run, with exactly this input."""

    name: str
    input: dict[str, Any]


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An output and what must come of it.

    `family` is how the model was trained to write, by the name it has in this project; a
    `generation` is given where some servers have a parser of its own for it. `text` is
    what the user is shown, white space around it aside. `nulls` are keys of the first call that
    are null, which TOML cannot write. `seen_in` names public threads, as `owner/repository#number`,
    where outputs of this shape were reported.
    """

    id: str
    shape: str
    raw: str
    family: Family
    generation: str = ""
    ended: Literal["stop", "length"] = "stop"
    calls: tuple[Expected, ...] = ()
    or_calls: tuple[Expected, ...] | None = None
    refused: tuple[str, ...] = ()
    stays_text: bool = False
    text: str | None = None
    nulls: tuple[str, ...] = ()
    seen_in: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.stays_text == bool(self.calls or self.refused):
            raise ValueError(f"{self.id}: give calls, refused, or stays_text")
        for path in self.nulls:
            *outer, key = path.split(".")
            value = self.calls[0].input
            for name in outer:
                value = value[name]
            value[key] = None


class Group(Struct, frozen=True):
    """The cases of one file: models that write calls alike, whatever their generation."""

    name: str
    cases: tuple[Case, ...]


def load_groups() -> list[Group]:
    """Read the corpus. A case is of its file's family where it does not say.

    Raises:
        msgspec.ValidationError: a file is not of the form above.
    """
    groups = []
    for path in sorted(FOLDER.glob("*.toml")):
        if path.stem == "tools":
            continue
        content = tomllib.loads(path.read_text("utf-8"))
        cases = [{"family": content["family"], **case} for case in content["case"]]
        groups.append(Group(path.stem, msgspec.convert(tuple(cases), tuple[Case, ...])))
    return groups


def load_tools() -> tuple[ToolSpec, ...]:
    """Read the tools that every case is offered."""
    schemas = tomllib.loads((FOLDER / "tools.toml").read_text("utf-8"))
    return tuple(
        ToolSpec(name, f"The {name} tool.", {"type": "object", **schema})
        for name, schema in schemas.items()
    )
