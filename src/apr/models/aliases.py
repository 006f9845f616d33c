"""Short names of current coder models: the table is `data/models.toml`."""

import functools
import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

_TABLE = Path(__file__).parent.parent / "data" / "models.toml"


class Alias(Struct, frozen=True, forbid_unknown_fields=True):
    """What a short name stands for."""

    names: tuple[str, ...]
    """In lower case, the usual one first."""
    repository: str
    """`OWNER/REPO` on the hub."""
    quantisation: str
    """What is taken where the user names none."""


class _Table(Struct, forbid_unknown_fields=True):
    model: tuple[Alias, ...]


@functools.cache
def aliases() -> dict[str, Alias]:
    """Return all short names, in the order of the table."""
    table = msgspec.convert(tomllib.loads(_TABLE.read_text(encoding="utf-8")), _Table)
    return {name: alias for alias in table.model for name in alias.names}
