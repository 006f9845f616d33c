"""What a user may call a model that is to be fetched, and what that stands for.

qwen3-coder                    a short name (see `aliases`)
qwen3-coder:Q8_0               the same in another quantisation
OWNER/REPO                     a repository on the Hugging Face hub
hf://OWNER/REPO:Q8_0           the same; `hf://` says that no path is meant
hf://OWNER/REPO@REVISION/FILE  one file of it, at a branch, tag or commit
https://HOST/FILE.gguf         a file anywhere; pages of the hub stand for what they show
./FILE.gguf                    a file on this disk
"""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from msgspec import Struct

from apr.errors import AprError
from apr.models.aliases import aliases
from apr.models.resolve import DEMO, demo

DEFAULT_QUANTISATION = "Q4_K_M"
MAIN = "main"
HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})

_WORD = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,95})"
_HUB = re.compile(
    rf"(?P<repo>{_WORD}/{_WORD})(?:@(?P<revision>{_WORD}))?"
    r"(?:/(?P<file>[^:]+\.gguf))?(?::(?P<quantisation>[A-Za-z0-9_.-]+))?",
    re.IGNORECASE,
)
_PAGE = re.compile(r"/([^/]+/[^/]+?)(?:/(?:resolve|blob|tree|raw)/([^/]+)(?:/(.+))?)?/?")


class BadName(AprError):
    """Nothing can be fetched by that name. The message says which names there are."""


class NoSuchName(BadName):
    """It could be a short name, and no model has it."""

    exit_code = 3


class OnHub(Struct, frozen=True, kw_only=True):
    """A model in a repository of the Hugging Face hub."""

    repository: str
    """`OWNER/REPO`."""
    file: str | None = None
    """Its path there; None for the one that has the quantisation."""
    quantisation: str | None = None
    """As the user named it; None where it is left to us."""
    default: str = DEFAULT_QUANTISATION
    """What is taken where `file` and `quantisation` are None, if it is there."""
    revision: str = MAIN
    """Branch, tag or commit."""


class AtUrl(Struct, frozen=True):
    """A file that some server has."""

    url: str


class OnDisk(Struct, frozen=True):
    """A file that need not be fetched."""

    path: Path


Source = OnHub | AtUrl | OnDisk


def parse(name: str) -> Source:
    """Return what a name stands for. Whether there is such a thing is not looked at.

    Raises:
        BadName: it has none of the forms.
    """
    scheme, separator, rest = name.partition("://")
    if separator:
        if scheme.lower() == "hf":
            return _on_hub(rest, name)
        if scheme.lower() in {"http", "https"}:
            return _at_url(name)
        raise BadName(f"{name!r}: models come by hf://, https:// or http://, not {scheme}://")
    if name == DEMO:
        return OnDisk(demo())
    if _is_path(name):
        try:
            return OnDisk(Path(name).expanduser())
        except RuntimeError as error:
            raise BadName(f"{name!r}: {error}") from None
    if "/" in name:
        return _on_hub(name, name)
    word, colon, quantisation = name.partition(":")
    alias = aliases().get(word.lower())
    if alias is None or (colon and not quantisation):
        kind = NoSuchName if alias is None else BadName
        raise kind(
            f"No model has the short name {name!r}. There are {', '.join(aliases())}.\n"
            "Any other model on the hub goes by OWNER/REPO, as in "
            "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF:Q8_0."
        )
    return OnHub(
        repository=alias.repository, quantisation=quantisation or None, default=alias.quantisation
    )


def is_safe(path: str) -> bool:
    """Whether a path from a repository's listing stays within the folder it is put in."""
    words = path.split("/")
    return (
        path.isprintable()
        and "\\" not in path
        and len(path) <= 1024
        and all(word not in {"", ".", ".."} and len(word.encode()) <= 255 for word in words)
    )


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: a password, the signature of a query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def _is_path(name: str) -> bool:
    """Whether a name without a scheme is one of a file: it looks so, or there is such a file."""
    if name.startswith((".", "/", "~")):
        return True
    return name.lower().endswith(".gguf") and (name.count("/") < 2 or Path(name).is_file())


def _on_hub(text: str, name: str) -> OnHub:
    match = _HUB.fullmatch(text.rstrip("/"))
    if not match or ".." in match["repo"] or "--" in match["repo"]:
        raise BadName(
            f"{name!r} names no model on the hub: it would be OWNER/REPO, OWNER/REPO:Q8_0 "
            "or OWNER/REPO/FILE.gguf"
        )
    file, quantisation = match["file"], match["quantisation"]
    if file is not None and not is_safe(file):
        raise BadName(f"{name!r} names a file that would lie outside of its repository")
    if file is not None and quantisation is not None:
        raise BadName(f"{name!r} names both a file and a quantisation; one of them is enough")
    return OnHub(
        repository=match["repo"],
        file=file,
        quantisation=quantisation,
        revision=match["revision"] or MAIN,
    )


def _at_url(name: str) -> Source:
    """Read a URL. One of the hub's pages or files stands for the model that it shows."""
    try:
        url = urlsplit(name)
        host = url.hostname
    except ValueError:
        host = None
        url = urlsplit("")
    if not host:
        raise BadName(f"{name!r} is not a URL")
    if host not in HUB_HOSTS:
        return AtUrl(name)
    match = _PAGE.fullmatch(unquote(url.path))
    if not match:
        raise BadName(f"{name!r} is no page of a model on the hub")
    repository, revision, file = match.groups()
    file = file if file and file.lower().endswith(".gguf") else None
    at = f"@{revision}" if revision else ""
    return _on_hub(f"{repository}{at}" + (f"/{file}" if file else ""), name)
