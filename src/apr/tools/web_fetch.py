"""WebFetch: what a page of the web says."""

from typing import TYPE_CHECKING, Annotated, ClassVar

from msgspec import Meta, Struct

from apr.agent.gate import Gate
from apr.tools.base import Access, Context, Outcome

if TYPE_CHECKING:
    from apr.tools.web.pages import Pages


class WebFetchInput(Struct, forbid_unknown_fields=True):
    """What WebFetch takes."""

    url: str
    prompt: Annotated[str, Meta(description="What you want to know: a long page is cut to that")]


class WebFetch:
    """Reads pages of the web; they are remembered for a while."""

    name: ClassVar[str] = "WebFetch"
    description: ClassVar[str] = "Read a page of the web: its text, as far as your question needs."
    Input = WebFetchInput
    read_only: ClassVar[bool] = True

    def __init__(self, gate: Gate) -> None:
        """Fetch under the rules of a gate: one that names a host opens it, wherever it is."""
        self._gate = gate
        self._pages: Pages | None = None

    def access(self, call: WebFetchInput, context: Context) -> Access:
        """Ask a host."""
        from apr.tools.web.address import parse  # what nobody fetches costs nothing

        return Access(kind="network", domain=parse(call.url).host)

    async def run(self, call: WebFetchInput, context: Context) -> Outcome:
        """Show the page's text, or say where it is instead."""
        from apr.tools.web.pages import Pages

        self._pages = self._pages or Pages(self._named)
        return await self._pages.show(call.url, call.prompt)

    def _named(self, host: str) -> bool:
        """Whether a rule allows exactly this host: only then may it be a private one."""
        policy = self._gate.policy
        return any(
            rule.tool == self.name and (rule.specifier or "").lower() == f"domain:{host}"
            for rule in (*policy.allow, *self._gate.granted)
        )
