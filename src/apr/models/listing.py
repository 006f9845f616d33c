"""Which files of a repository are a model, and which of its models is meant.

Repositories hold one model in many quantisations, told apart by file names alone:

    Qwen3-Coder-Next-UD-Q4_K_XL.gguf                   one file
    BF16/Qwen3-Coder-Next-BF16-00001-of-00004.gguf     one of four parts, in a folder
    qwen2.5-coder-14b-instruct-fp16.gguf               lower case, and fp16 for F16
    mmproj-F16.gguf, imatrix_unsloth.gguf              no models: a projector, calibration data
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from apr.errors import AprError
from apr.models.names import OnHub, is_safe
from apr.models.stores import quantisation_in
from apr.ui.amounts import size
from apr.ui.terminal import plain

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_NO_MODEL = re.compile(r"(^|[^a-z])(mmproj|imatrix)([^a-z]|$)", re.IGNORECASE)
_FULL = re.compile(r"(?<![A-Za-z0-9])FP(16|32)(?![A-Za-z0-9])", re.IGNORECASE)
_MOST_SHOWN = 40


class NotInRepository(AprError):
    """The repository has no such model. The message lists those that it has."""

    exit_code = 3


class RemoteFile(Struct, frozen=True, kw_only=True):
    """A file in a repository, as the hub lists it."""

    path: str
    size: int
    """Bytes."""
    sha256: str | None
    """Of its content; the hub knows it of files in large file storage, as all but tiny ones are."""
    oid: str | None
    """git's name of its content otherwise."""


class Offer(Struct, frozen=True, kw_only=True):
    """A model in a repository: one file, or all its parts in order."""

    quantisation: str | None
    """As its name gives it, in upper case."""
    files: tuple[RemoteFile, ...]
    problem: str | None = None
    """Why it cannot be fetched."""

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def path(self) -> str:
        """Return the path of the first file."""
        return self.files[0].path


def offers(files: Iterable[RemoteFile]) -> list[Offer]:
    """Return the models among a repository's files, in the order of their paths.

    Paths that would lead out of the repository's own folder are left out, whatever they are.
    """
    whole: list[Offer] = []
    split: dict[tuple[str, int], dict[int, RemoteFile]] = {}
    for file in files:
        if not is_safe(file.path) or not file.path.lower().endswith(".gguf"):
            continue
        if _NO_MODEL.search(file.path.rpartition("/")[2]):
            continue
        match = _PART.fullmatch(file.path)
        if match:
            parts = split.setdefault((match["stem"], int(match["count"])), {})
            parts[int(match["number"])] = file
        else:
            whole.append(Offer(quantisation=_label(file.path[:-5]), files=(file,)))
    for (stem, count), parts in split.items():
        missing = [str(number) for number in range(1, count + 1) if number not in parts]
        whole.append(
            Offer(
                quantisation=_label(stem),
                files=tuple(parts[number] for number in sorted(parts)),
                problem=f"its part {', '.join(missing)} of {count} is missing" if missing else None,
            )
        )
    return sorted(whole, key=lambda offer: offer.path)


def choose(source: OnHub, files: Iterable[RemoteFile]) -> Offer:
    """Return the model that is meant.

    A file is taken by its path. A quantisation is taken by its label in any case; `Q4_K_M` also
    means `UD-Q4_K_M` where there is no plain one. Where the user named neither, the default is
    taken, or else the only model that there is.

    Raises:
        NotInRepository: there is none, or more than one that it could be.
    """
    there = offers(files)
    if source.file is not None:
        wanted = [offer for offer in there if source.file in (file.path for file in offer.files)]
        what = source.file
    else:
        what = source.quantisation or source.default
        wanted = _labelled(there, what)
        if not wanted and source.quantisation is None and len(there) == 1:
            wanted = there
    if len(wanted) == 1:
        if wanted[0].problem:
            raise NotInRepository(
                f"{source.repository} has {plain(wanted[0].path)}, but {wanted[0].problem}"
            )
        return wanted[0]
    if not there:
        raise NotInRepository(
            f"{source.repository} has no model in GGUF. Repositories that have are usually called "
            "…-GGUF."
        )
    if wanted:
        raise NotInRepository(
            f"{source.repository} has more than one model that {what} could mean. Name the file, as"
            f" in {source.repository}/{plain(wanted[0].path)}:\n{_listed(wanted)}"
        )
    raise NotInRepository(f"{source.repository} has no {plain(what)}. It has\n{_listed(there)}")


def _labelled(there: Sequence[Offer], label: str) -> list[Offer]:
    """Return the models with a label; not the parts of one that is there in one piece too."""
    wanted = _full(label.upper())
    whole = {offer.path[:-5] for offer in there}
    for exact in (wanted, f"UD-{wanted}"):
        found = [offer for offer in there if offer.quantisation == exact]
        if found:
            return [
                o for o in found if not (m := _PART.fullmatch(o.path)) or m["stem"] not in whole
            ]
    return []


def _label(stem: str) -> str | None:
    """Return the quantisation that a path gives: in its last word that gives one."""
    for word in reversed(stem.split("/")):
        if label := quantisation_in(_full(word)):
            return label
    return None


def _full(text: str) -> str:
    """Return the text with the other names of F16 and F32 replaced."""
    return _FULL.sub(r"F\1", text)


def _listed(there: Sequence[Offer]) -> str:
    lines = [
        f"  {offer.quantisation or '?':<14} {size(offer.size):>10}  {plain(offer.path)}"
        for offer in there[:_MOST_SHOWN]
    ]
    if len(there) > _MOST_SHOWN:
        lines.append(f"  … and {len(there) - _MOST_SHOWN:,} more")
    return "\n".join(lines)
