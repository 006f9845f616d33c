"""Pages as a model is shown them: fetched, redirected, cut to a question, and kept for a while."""

import asyncio
import hashlib
import time
from collections.abc import Callable
from urllib.parse import urljoin

from apr.tools.base import Outcome
from apr.tools.documents import Extract
from apr.tools.errors import ToolError
from apr.tools.web.address import Target, is_address, is_private, parse
from apr.tools.web.client import Failed, get
from apr.tools.web.page import read, status_line
from apr.tools.web.passages import passages
from apr.tools.web.untrusted import clean, marked

CHARACTERS = 30_000
"""Characters of a page that the model is shown."""
KEPT_S = 15 * 60
"""Seconds for which a page is not asked for again."""
KEPT = 32
"""Pages that are kept."""
AT_ONCE = 4
"""Pages that are fetched and read at a time; each is read by a process."""
REDIRECTS = 5
"""How often a server may send us elsewhere."""


class Pages:
    """The pages of one session.

    Args:
        named: whether a host may be a private one: this machine, or one of its networks.
    """

    def __init__(self, named: Callable[[str], bool]) -> None:
        self._named = named
        self._pages: dict[str, tuple[float, Extract]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def show(self, url: str, question: str) -> Outcome:
        """Return what a page says, as far as the question needs it.

        A redirect to another host is told instead of followed: that host was not allowed.

        Raises:
            ToolError: the URL is none that can be fetched, or its host must not be asked.
        """
        asked = await self._upgraded(parse(url))
        kept = self._kept(str(asked))
        if kept is not None:
            return _shown(str(asked), kept, question)
        async with self._room:
            return await self._fetched(asked, question)

    async def _fetched(self, asked: Target, question: str) -> Outcome:
        target = asked
        try:
            for _ in range(REDIRECTS):
                answer = await get(target, private=self._named(target.host))
                if answer.location is None:
                    break
                onward = _onward(target, answer.location)
                if not _same_place(target, onward):
                    return Outcome(content=_elsewhere(target, onward))
                target = onward
            else:
                return _failed(f"{asked} redirects more than {REDIRECTS} times.")
        except Failed as error:
            return _failed(str(error))
        if not 200 <= answer.status < 300:
            return _failed(f"{target} answers {status_line(answer.status)}.")
        page = await read(answer)
        if not page.text.strip():
            return _failed(f"{target} has nothing to show: {page.problem or 'it is empty'}.")
        self._keep(str(asked), page)
        return _shown(str(target), page, question)

    async def _upgraded(self, target: Target) -> Target:
        """Return the URL with https, but for addresses, private hosts and ports of its own."""
        if target.scheme == "https" or target.port is not None:
            return target
        if is_address(target.host) or (self._named(target.host) and await is_private(target)):
            return target
        return Target("https", target.host, None, target.path)

    def _kept(self, url: str) -> Extract | None:
        at, page = self._pages.get(url, (0.0, None))
        return page if page is not None and time.monotonic() - at < KEPT_S else None

    def _keep(self, url: str, page: Extract) -> None:
        self._pages.pop(url, None)
        self._pages[url] = (time.monotonic(), page)
        while len(self._pages) > KEPT:
            del self._pages[next(iter(self._pages))]


def _onward(here: Target, location: str) -> Target:
    """Return where a redirect leads.

    Raises:
        Failed: to nothing that can be fetched.
    """
    try:
        return parse(urljoin(str(here), location))
    except (ValueError, ToolError) as error:
        raise Failed(f"{here} redirects to what cannot be fetched: {error}.") from None


def _same_place(here: Target, there: Target) -> bool:
    """Whether a redirect stays with whom we have asked; to go from https to http is to leave."""
    upgraded = here.scheme == "http" and there.scheme == "https"
    return here.host == there.host and (
        (here.scheme, here.port) == (there.scheme, there.port)
        or (upgraded and here.port is None and there.port is None)
    )


def _elsewhere(here: Target, there: Target) -> str:
    return f"{here} has moved to {there}. If that is a place to go to, call WebFetch with that URL."


def _failed(reason: str) -> Outcome:
    return Outcome(content=reason, ok=False)


def _shown(url: str, page: Extract, question: str) -> Outcome:
    """Return a page as the model is shown it: what fits, between marks, and the question again."""
    text = clean(page.text)
    part, cut = passages(text, question, CHARACTERS)
    notes = [f"[{page.problem}]"] if page.problem else []
    if cut:
        notes.append(
            f"[{len(text):,} characters in all: [...] for what says least of the question]"
        )
    if question.strip():
        notes.append(f"You wanted to know: {question.strip()}")
    return Outcome(
        content="\n".join([marked(url, part), *notes]),
        truncated=cut,
        full_sha256=hashlib.sha256(text.encode()).hexdigest() if cut else None,
    )
