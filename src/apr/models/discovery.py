"""The models that are on this disk already: what each of them is, or what is wrong with it."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from apr.home import home
from apr.models.header import BadModel, ModelInfo, NotForText, check
from apr.models.remembered import Remembered, Verdict, identity
from apr.models.stores import Entry, Place, places
from apr.models.walk import Walk

PATIENCE_S = 10.0
"""How long one place is looked at; what is known by then is remembered."""


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
    count: int
    """Models that were found there, and nowhere before."""
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
    known = Remembered(home(env) / "cache" / "headers.msgpack")
    models: list[Found] = []
    others: list[Found] = []
    searched: list[Searched] = []
    seen: set[tuple[int, int]] = set()
    for place in places(env, root):
        walk, before = Walk(place.path, place.within), len(models)
        deadline = time.monotonic() + PATIENCE_S
        for entry in place.read(walk):
            if time.monotonic() > deadline:
                walk.trouble.append(f"after {PATIENCE_S:.0f} s the rest was left for the next time")
                break
            statuses = [] if entry.problem else _statuses(entry.parts)
            if statuses:
                first = (statuses[0].st_dev, statuses[0].st_ino)
                if first in seen:
                    continue
                seen.add(first)
            verdict = _verdict(entry, statuses, known)
            (models if verdict.for_text else others).append(_found(entry, place, statuses, verdict))
        searched.append(_searched(place, walk, len(models) - before))
    known.save()
    return Survey(models=tuple(models), others=tuple(others), places=tuple(searched))


def _statuses(parts: Sequence[Path]) -> list[os.stat_result]:
    """Return the status of each part, or nothing where one is gone since, or out of reach."""
    try:
        return [part.stat() for part in parts]
    except OSError:
        return []


def _verdict(entry: Entry, statuses: list[os.stat_result], known: Remembered) -> Verdict:
    """Return what a model is, or what is wrong with it."""
    if entry.problem:
        return Verdict(None, entry.problem, for_text=True)
    key = identity(entry.parts, statuses) if statuses else ()
    verdict = known.get(key)
    if verdict is not None:
        return verdict
    try:
        verdict = Verdict(check(entry.path), None, for_text=True)
    except BadModel as error:
        problem = str(error).removeprefix(f"{entry.path}: ")
        verdict = Verdict(None, problem, for_text=not isinstance(error, NotForText))
    if key:
        known.put(key, verdict)
    return verdict


def _found(entry: Entry, place: Place, statuses: list[os.stat_result], verdict: Verdict) -> Found:
    return Found(
        path=entry.path,
        parts=entry.parts,
        store=place.label,
        name=entry.name,
        also=entry.also,
        size=sum(status.st_size for status in statuses),
        mtime=max((status.st_mtime for status in statuses), default=0.0),
        info=verdict.info,
        problem=verdict.problem,
    )


def _searched(place: Place, walk: Walk, count: int) -> Searched:
    try:
        there = place.path.is_dir()
    except OSError:  # behind a folder that cannot be entered
        there = False
    trouble = tuple(walk.trouble)
    return Searched(label=place.label, path=place.path, there=there, count=count, trouble=trouble)
