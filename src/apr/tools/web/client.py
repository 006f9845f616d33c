"""One GET over HTTP, within bounds. Redirects are not followed here, and nothing is sent along."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from apr import __version__
from apr.tools.web.address import Target, addresses, is_address

if TYPE_CHECKING:
    import httpx2

LARGEST = 10_000_000
"""Bytes of an answer, unpacked."""
SECONDS = 30.0
"""Time for all of a request."""
_CONNECT_S = 10.0
"""Time for one address of a host."""
_REASON = 300
"""Characters of what went wrong: a server can make it long."""
_TRIED = 3
"""Addresses of a host that are tried: one may not be reachable from here (IPv6, often)."""
_HEADERS = {
    "User-Agent": f"apr/{__version__} (a program of the person who runs it)",
    "Accept": "text/markdown, text/html;q=0.9, text/plain;q=0.9, application/json, */*;q=0.5",
    "Accept-Encoding": "gzip",
}


class Failed(Exception):
    """The request went out, and no answer that can be used came back."""


class Answer(Struct, frozen=True):
    """What a server said. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def location(self) -> str | None:
        """Where the thing is instead, if that is what the server says."""
        return self.headers.get("location") if self.status in {301, 302, 303, 307, 308} else None


async def get(target: Target, *, private: bool, largest: int = LARGEST) -> Answer:
    """Ask for a URL: at one of the addresses that its host was found to have, or by the proxy.

    Args:
        target: what to ask for.
        private: whether the host may be this machine, or one that only its networks reach.
        largest: bytes of the answer, unpacked.

    Raises:
        ToolError: the host must not be asked, or there is none; nothing was sent.
        Failed: it could not be reached, or its answer is too large or none.
    """
    import httpx2  # 0.3 s, paid by those who fetch

    try:
        async with asyncio.timeout(SECONDS):
            if (proxy := _proxy(target)) is not None:
                return await _ask(target, str(target), proxy, largest)
            return await _directly(target, await addresses(target, private=private), largest)
    except TimeoutError:
        raise Failed(f"{target.host} has not answered within {SECONDS:.0f} s.") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ImportError, ValueError) as error:
        # ImportError, ValueError: a proxy of a kind, or with an address, that cannot be used.
        reason = (str(error) or type(error).__name__)[:_REASON].rstrip(".")
        raise Failed(f"{target.host} could not be asked: {reason}.") from None


async def _directly(target: Target, found: list[str], largest: int) -> Answer:
    import httpx2

    for number, address in enumerate(found[:_TRIED], 1):
        host = f"[{address}]" if ":" in address else address
        port = f":{target.port}" if target.port is not None else ""
        try:
            return await _ask(target, f"{target.scheme}://{host}{port}{target.path}", None, largest)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            if number == min(len(found), _TRIED):
                raise
    raise Failed(f"{target.host} has no address.")


async def _ask(target: Target, url: str, proxy: str | None, largest: int) -> Answer:
    """Ask at a URL that names an address; the certificate must be the host's."""
    import httpx2

    async with (
        httpx2.AsyncClient(
            proxy=proxy,
            trust_env=False,  # no passwords from ~/.netrc
            verify=httpx2.create_ssl_context(),
            timeout=httpx2.Timeout(SECONDS, connect=_CONNECT_S),
        ) as client,
        client.stream(
            "GET",
            url,
            headers={**_HEADERS, "Host": target.authority},
            extensions={"sni_hostname": target.host} if proxy is None else {},
        ) as response,
    ):
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, await _body(response, headers, largest))


async def _body(response: "httpx2.Response", headers: Mapping[str, str], largest: int) -> bytes:
    """Return the body, unpacked a little at a time: what is small packed may be without end."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        raise Failed(f"The answer is packed in a way that was not asked for: {encoding[:40]}.")
    raw: AsyncIterator[bytes] = response.aiter_raw()
    inflate = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
    body = bytearray()
    async for chunk in raw:
        room = largest + 1 - len(body)
        try:
            body += inflate.decompress(chunk, room) if inflate else chunk[:room]
        except zlib.error:
            raise Failed("The answer is not packed as it says (gzip).") from None
        if len(body) > largest:
            raise Failed(f"The answer is larger than {largest:,} bytes.")
    return bytes(body)


def _proxy(target: Target) -> str | None:
    """Return the proxy that the user's environment names for a host, None to go there directly.

    A proxy finds the host's address by itself, so none is checked here; it is no way to this
    machine, or to an address that is written out.
    """
    from urllib.request import getproxies, proxy_bypass

    if is_address(target.host) or target.host.split(".")[-1] == "localhost":
        return None
    proxies = getproxies()
    found = proxies.get(target.scheme) or proxies.get("all")
    return found if found and not proxy_bypass(target.host) else None
