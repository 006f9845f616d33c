"""Which of the models on this disk does a user mean by a name?"""

import re
from collections.abc import Iterator, Sequence

from apr.models.aliases import aliases
from apr.models.discovery import Found
from apr.models.ranking import normal
from apr.models.resolve import ModelNotFound
from apr.models.stores import quantisation_in

MOST_NEAR = 8
MOST_COMPARED = 500
"""Models whose names are compared letter by letter."""


def called(name: str, models: Sequence[Found]) -> Found | None:
    """Return the one model that goes by a name or a short name of `apr pull`; None if none does.

    Raises:
        ModelNotFound: several do.
    """
    for wanted in _meanings(name):
        matches = matching(wanted, models)
        if len(matches) > 1:
            names = "".join(f"\n  {model.name}  {model.path}" for model in matches)
            raise ModelNotFound(f"{name!r} is the name of several models; say which:{names}")
        if matches:
            return matches[0]
    return None


def matching(name: str, models: Sequence[Found]) -> list[Found]:
    """Return the models that go by a name: sound ones, or if there is none, broken ones.

    A full name (`unsloth/Qwen3-8B-GGUF:Q4_K_M`, a file's, `llama3:8b`) is taken before one without
    owner, quantisation or tag. Upper and lower case are one, and so are all separators. Copies of
    a model in several places are one model.
    """
    wanted = normal(name.removeprefix("hf://"))
    for names in (_full_names, _short_names):
        found = [model for model in models if wanted in set(map(normal, names(model)))]
        if found:
            sound = [model for model in found if model.info is not None]
            return _without_copies(sound or found)
    return []


def near(name: str, models: Sequence[Found]) -> list[str]:
    """Return names of models that are spelled alike, the likest first."""
    import difflib

    spelled: dict[str, str] = {}
    for model in models[:MOST_COMPARED]:
        for other in (*_full_names(model), *_short_names(model)):
            spelled.setdefault(normal(other), model.name)
    wanted = normal(name)
    likest = difflib.get_close_matches(wanted, spelled, n=MOST_NEAR, cutoff=0.5)
    inside = [other for other in spelled if wanted and wanted in other]
    return list(dict.fromkeys(spelled[other] for other in (*likest, *inside)))[:MOST_NEAR]


def _meanings(name: str) -> Iterator[str]:
    """Yield what a name may stand for: itself, and what `apr pull` would fetch by it."""
    yield name
    word, _, quantisation = name.partition(":")
    alias = aliases().get(word.lower())
    if alias is not None:
        yield f"{alias.repository}:{quantisation or alias.quantisation}"
        yield f"{alias.repository}:UD-{quantisation or alias.quantisation}"
        if not quantisation:
            yield alias.repository


def _full_names(model: Found) -> Iterator[str]:
    """Yield the names that leave nothing out."""
    for name in (model.name, *model.also):
        yield name
        yield name.removesuffix(".gguf")
    yield model.path.name


def _short_names(model: Found) -> Iterator[str]:
    """Yield the names without the owner, the quantisation, the tag, or `-GGUF`."""
    names = [*(name.removesuffix(".gguf") for name in (model.name, *model.also))]
    if model.info is not None:
        names.append(model.info.name)
    for name in names:
        for cut in (name, name.rpartition("/")[2]):
            yield cut
            bare = re.sub(r"-gguf\b", "", cut, flags=re.IGNORECASE)
            yield bare
            yield bare.partition(":")[0]
            yield cut.partition(":")[0]
            kind = quantisation_in(bare)
            if kind:
                yield re.sub(re.escape(kind), "", bare, flags=re.IGNORECASE)


def _without_copies(models: list[Found]) -> list[Found]:
    """Leave out what has the name and the size of one before it."""
    return list({(normal(model.name), model.size): model for model in reversed(models)}.values())[
        ::-1
    ]
