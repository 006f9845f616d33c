"""Which of the models on this disk is the best to use, and why each stands where it does."""

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from apr.models.discovery import Found
from apr.models.header import ModelInfo


class Preferred(Struct, frozen=True):
    """A model that is preferred, by its names."""

    name: str
    also: tuple[str, ...] = ()


class Ranked(Struct, frozen=True, kw_only=True):
    """A model at its place."""

    model: Found
    preferred: Preferred | None
    """The entry in the list of preferred names that it matches."""
    fits: bool
    """Whether it can be loaded here and now."""
    reason: str
    """Why it stands there, in words."""


class _Table(Struct):
    preferred: tuple[Preferred, ...]


def preferences() -> tuple[Preferred, ...]:
    """Return the preferred models, the best first (`apr/data/preferred.toml`)."""
    path = Path(__file__).parent.parent / "data" / "preferred.toml"
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Table).preferred


def rank(
    models: Iterable[Found],
    fits: Callable[[ModelInfo], bool],
    preferred: Sequence[Preferred],
) -> list[Ranked]:
    """Return the models in order, the best first.

    Sound ones come before broken ones, then preferred names, then what fits, then the newest.
    """
    places = {entry: number for number, entry in enumerate(preferred)}

    def key(one: Ranked) -> tuple[bool, int, bool, float, str]:
        place = len(places) if one.preferred is None else places[one.preferred]
        return one.model.info is None, place, not one.fits, -one.model.mtime, one.model.name

    return sorted((_judged(model, fits, preferred) for model in models), key=key)


def best(ranked: Sequence[Ranked]) -> Ranked | None:
    """Return the model to use: the first that fits, or else the first that is sound."""
    sound = [one for one in ranked if one.model.info is not None]
    return next((one for one in sound if one.fits), sound[0] if sound else None)


def why(chosen: Ranked, ranked: Sequence[Ranked]) -> str:
    """Return what makes the chosen model better than the others, in a few words."""
    sound = [one for one in ranked if one.model.info is not None]
    if len(sound) == 1:
        return "the only model that works"
    rivals = [one for one in sound if one is not chosen and one.fits >= chosen.fits]
    if not rivals:
        return f"the only one of {len(sound)} models that fits in memory"
    among = f"{len(rivals) + 1} models that work"
    if len(rivals) + 1 < len(sound):
        among += " and fit in memory"
    decisive = "newest" if chosen.preferred == rivals[0].preferred else "most preferred"
    return f"the {decisive} of {among}"


def normal(name: str) -> str:
    """Return a name in lower case, with `-` for all that is neither letter nor digit."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _judged(
    model: Found, fits: Callable[[ModelInfo], bool], preferred: Sequence[Preferred]
) -> Ranked:
    if model.info is None:
        return Ranked(model=model, preferred=None, fits=False, reason=f"broken: {model.problem}")
    entry = _preference(model, model.info, preferred)
    fitting = fits(model.info)
    name = "not a preferred name" if entry is None else f"preferred as {entry.name}"
    memory = "fits in memory" if fitting else "does not fit in the memory that is free"
    day = datetime.fromtimestamp(model.mtime).astimezone().strftime("%Y-%m-%d %H:%M")
    return Ranked(
        model=model, preferred=entry, fits=fitting, reason=f"{name}; {memory}; changed {day}"
    )


def _preference(model: Found, info: ModelInfo, preferred: Sequence[Preferred]) -> Preferred | None:
    """Return the first entry one of whose names is part of one of the model's names."""
    names = (model.name, *model.also, model.path.name, info.name)
    spelled = [f"-{normal(name)}-" for name in names]
    for entry in preferred:
        wanted = [f"-{normal(name)}-" for name in (entry.name, *entry.also)]
        if any(want in name for name in spelled for want in wanted):
            return entry
    return None
