"""WebSearch: what a search service that the user has named finds on the web."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError


class WebSearchInput(Struct, forbid_unknown_fields=True):
    """What WebSearch takes."""

    query: Annotated[str, Meta(min_length=2)]
    allowed_domains: Annotated[
        list[str], Meta(description="Only pages of these hosts, and of those below them")
    ] = field(default_factory=list)
    blocked_domains: Annotated[list[str], Meta(description="No pages of these")] = field(
        default_factory=list
    )


class WebSearch:
    """Searches through a SearXNG, by its JSON interface."""

    name: ClassVar[str] = "WebSearch"
    description: ClassVar[str] = "Search the web. Read what looks right with WebFetch."
    Input = WebSearchInput
    read_only: ClassVar[bool] = True

    def __init__(self, url: str | None) -> None:
        """Ask the SearXNG at `url`; None where the user has named none."""
        self._url = url

    def access(self, call: WebSearchInput, context: Context) -> Access:
        """Ask the service that the user has named."""
        return Access(kind="network")

    async def run(self, call: WebSearchInput, context: Context) -> Outcome:
        """Show what was found: title, address and some words of each page."""
        from apr.tools.web.searxng import SETTING, search  # what nobody searches costs nothing

        if call.allowed_domains and call.blocked_domains:
            raise ToolError("give allowed_domains or blocked_domains, not both")
        if self._url is None:
            raise ToolError(
                f"no search service is configured: the user has to set {SETTING} in the settings "
                "to the URL of a SearXNG"
            )
        return await search(
            self._url,
            call.query,
            allowed=call.allowed_domains,
            blocked=call.blocked_domains,
        )
