"""Several sources made one: objects key by key, lists joined, of anything else the strongest."""

from collections.abc import Iterator
from typing import Any

from apr.settings.schema import Path_

# A value of parts that mean nothing apart. `*` is any key.
_ATOMS = frozenset({("statusLine",), ("extraKnownMarketplaces", "*")})

# Lists that say what is possible at all: a weaker file must not make them longer.
_LIMITS = frozenset({("strictKnownMarketplaces",), ("allowedMcpServers",)})


def joined(path: Path_) -> bool:
    """Whether the lists of several sources are joined here, rather than the strongest taken."""
    return path not in _LIMITS


def leaves(data: dict[str, Any], at: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Yield every value that is set as a whole: scalars, lists, atoms. A null sets nothing."""
    for key, value in data.items():
        path = (*at, key)
        if isinstance(value, dict) and not _atom(path):
            yield from leaves(value, path)
        elif value is not None:
            yield path, value


def combine(weaker: dict[str, Any], stronger: dict[str, Any], at: Path_ = ()) -> dict[str, Any]:
    """Return the two as one. Associative on objects that fit the schema; neither is changed."""
    result = dict(weaker)
    for key, value in stronger.items():
        path = (*at, key)
        old = weaker.get(key)
        if value is None:
            continue
        if isinstance(value, dict) and isinstance(old, dict) and not _atom(path):
            result[key] = combine(old, value, path)
        elif isinstance(value, list) and isinstance(old, list) and joined(path):
            result[key] = [*old, *(item for item in value if item not in old)]
        else:
            result[key] = value
    return result


def without(data: dict[str, Any], path: Path_) -> dict[str, Any]:
    """Return the object without the value at `path`. What stands inside a list stays."""
    key, rest = path[0], path[1:]
    if not rest:
        return {name: value for name, value in data.items() if name != key}
    inner = data[key]
    return {**data, key: without(inner, rest)} if isinstance(inner, dict) else data


def _atom(path: Path_) -> bool:
    return path in _ATOMS or (*path[:-1], "*") in _ATOMS
