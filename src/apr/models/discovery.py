"""The models that are on this disk already: what each of them is, or what is wrong with it."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from apr.models.header import BadModel, ModelInfo, NotForText, check
from apr.models.stores import Entry, Place, Walk, places


class Found(Struct, frozen=True, kw_only=True):
    """A model on this disk."""

    path: Path
    """The file, or the first of a split model's."""
    parts: tuple[Path, ...]
    """All files of it that are there, in order."""
    store: str
    """Where it lies, in words that follow "from": "the Hugging Face cache"."""
    name: str
    """What a user may call it with `--model`."""
    also: tuple[str, ...]
    """Other names it goes by."""
    size: int
    """Bytes, of all parts that are there."""
    mtime: float
    """When the newest part was changed: seconds since 1970."""
    info: ModelInfo | None
    """What it is; None where it is broken."""
    problem: str | None
    """What is wrong with it; None where nothing is."""


class Searched(Struct, frozen=True, kw_only=True):
    """A place that was looked at."""

    label: str
    path: Path
    there: bool
    trouble: tuple[str, ...]
    """What could not be seen in it."""


class Survey(Struct, frozen=True, kw_only=True):
    """All that was found, and where it was looked for."""

    models: tuple[Found, ...]
    others: tuple[Found, ...]
    """Sound files that are no models to talk to: projectors, adapters, vocabularies, embedders."""
    places: tuple[Searched, ...]


def found(env: Mapping[str, str], root: Path = Path()) -> list[Found]:
    """Return the models on this disk, sound and broken ones, in the order of the places.

    A file that is reached in several ways is one model, by its first name.
    """
    return list(survey(env, root).models)


def survey(env: Mapping[str, str], root: Path = Path()) -> Survey:
    """Look for models in all places; see `found`."""
    models: list[Found] = []
    others: list[Found] = []
    searched: list[Searched] = []
    seen: set[tuple[int, int]] = set()
    for place in places(env, root):
        walk = Walk(place)
        for entry in place.read(walk):
            model, for_text = _look_into(entry, place, seen)
            if model is not None:
                (models if for_text else others).append(model)
        searched.append(
            Searched(
                label=place.label,
                path=place.path,
                there=_exists(place.path),
                trouble=tuple(walk.trouble),
            )
        )
    return Survey(models=tuple(models), others=tuple(others), places=tuple(searched))


def _look_into(entry: Entry, place: Place, seen: set[tuple[int, int]]) -> tuple[Found | None, bool]:
    """Return a model and whether it is one that generates text; None if it was seen before."""
    size, mtime = 0, 0.0
    for number, part in enumerate(entry.parts):
        try:
            status = part.stat()
        except OSError:  # gone since, or behind a folder that cannot be read
            continue
        if number == 0:
            if (status.st_dev, status.st_ino) in seen:
                return None, False
            seen.add((status.st_dev, status.st_ino))
        size += status.st_size
        mtime = max(mtime, status.st_mtime)
    model = Found(
        path=entry.path,
        parts=entry.parts,
        store=place.label,
        name=entry.name,
        also=entry.also,
        size=size,
        mtime=mtime,
        info=None,
        problem=entry.problem,
    )
    if entry.problem:
        return model, True
    try:
        return msgspec.structs.replace(model, info=check(entry.path)), True
    except BadModel as error:
        problem = str(error).removeprefix(f"{entry.path}: ")
        return msgspec.structs.replace(model, problem=problem), not isinstance(error, NotForText)


def _exists(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
