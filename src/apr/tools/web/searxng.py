"""A search by SearXNG's JSON interface.

See docs.searxng.org/dev/search_api.html: `/search?q=...&format=json` answers an object whose
`results` have `url`, `title` and `content`.
"""

from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from apr.tools.base import Outcome
from apr.tools.errors import ToolError
from apr.tools.web.address import Target, parse
from apr.tools.web.client import Failed, get
from apr.tools.web.page import status_line
from apr.tools.web.untrusted import clean, marked

SETTING = "apr.webSearch.url"
MOST = 10
"""Results that the model is shown."""
_LINE = 400
"""Characters of a title, and of what a result says of its page."""


class _Found(Struct):
    url: str
    title: str | None = None
    content: str | None = None


class _Answer(Struct):
    results: list[_Found]


async def search(
    service: str, query: str, *, allowed: Sequence[str] = (), blocked: Sequence[str] = ()
) -> Outcome:
    """Return what the SearXNG at `service` finds, without what is not of the `allowed` hosts.

    Raises:
        ToolError: `service` is no URL of one.
    """
    allowed, blocked = [_domain(name) for name in allowed], [_domain(name) for name in blocked]
    target = _target(service, _with_sites(query, allowed, blocked))
    where = target.authority
    try:
        answer = await get(target, private=True)
    except Failed as error:
        return _failed(f"The search service could not be used. {error}")
    if answer.status == 403:
        return _failed(
            f"The search service at {where} refuses JSON: `json` must be among `search.formats` "
            "in its settings.yml."
        )
    if answer.status != 200:
        return _failed(f"The search service at {where} answers {status_line(answer.status)}.")
    try:
        found = msgspec.json.decode(answer.body, type=_Answer).results
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _failed(f"What {where} answers is not what a SearXNG does.")
    results = [one for one in found if _wanted(one.url, allowed, blocked)][:MOST]
    if not results:
        return Outcome(content="Nothing was found.")
    return Outcome(content=marked(where, "\n\n".join(map(_told, results))))


def _target(service: str, query: str) -> Target:
    try:
        target = parse(service)
    except ToolError as error:
        raise ToolError(f"{SETTING}: {error}") from None
    folder = target.path.partition("?")[0].rstrip("/").removesuffix("/search")
    asked = urlencode({"q": query, "format": "json"})
    return msgspec.structs.replace(target, path=f"{folder}/search?{asked}")


def _with_sites(query: str, allowed: Sequence[str], blocked: Sequence[str]) -> str:
    """Return the query with what most engines understand of hosts."""
    sites = [f"site:{name}" for name in allowed]
    only = f"({' OR '.join(sites)})" if len(sites) > 1 else "".join(sites)
    return " ".join(filter(None, [query, only, *(f"-site:{name}" for name in blocked)]))


def _wanted(url: str, allowed: Sequence[str], blocked: Sequence[str]) -> bool:
    """Whether a result is where it should be: not every engine understands `site:`."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower().rstrip(".")
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or any(_within(host, name) for name in blocked):
        return False
    return not allowed or any(_within(host, name) for name in allowed)


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _domain(name: str) -> str:
    """Return a host that may have been given as a URL or a pattern."""
    host = name.strip().lower().rpartition("://")[2]
    return host.partition("/")[0].removeprefix("*.").rstrip(".")


def _told(found: _Found) -> str:
    lines = (" ".join(clean(part).split()) for part in (found.title, found.content) if part)
    title, *snippet = [line[:_LINE] for line in lines] or [""]
    return "\n".join(filter(None, [title, clean(found.url), *snippet]))


def _failed(reason: str) -> Outcome:
    return Outcome(content=reason, ok=False)
