"""The web of a recording: the pages and searches that its session met (`web.toml`)."""

from urllib.parse import parse_qs, urlsplit

from msgspec import Struct


class Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a server said under a URL. `title` and `about` are what a search shows of it."""

    url: str
    text: str
    type: str = "text/html"
    title: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in {"http", "https"} or not urlsplit(self.url).hostname:
            raise ValueError(f"{self.url!r} is no URL that begins with http:// or https://")


class Search(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The URLs that a search found, best first. They need not be among the pages."""

    query: str
    found: tuple[str, ...]


class Web(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    page: tuple[Page, ...] = ()
    search: tuple[Search, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of the pages."""
        return tuple(dict.fromkeys(urlsplit(page.url).hostname or "" for page in self.page))

    def at(self, url: str) -> Page | None:
        """Return the page at a URL: scheme and a slash at the end do not matter."""
        wanted = _plain(url)
        return next((page for page in self.page if _plain(page.url) == wanted), None)

    def searched(self, path: str) -> list[Page]:
        """Return what is found by a request to a SearXNG: `/search?q=...`.

        The query may be longer than the recorded one: agents put hosts behind it (`site:`).
        """
        query = " ".join(parse_qs(urlsplit(path).query).get("q", []))
        found = next((one.found for one in self.search if query.startswith(one.query)), ())
        return [self.at(url) or Page(url=url, text="") for url in found]


def _plain(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets without an address in them
        return url
    query = f"?{parts.query}" if parts.query else ""
    return f"{(parts.hostname or '').lower()}{parts.path.rstrip('/')}{query}"
