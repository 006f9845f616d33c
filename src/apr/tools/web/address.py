"""Where a request may go: URLs as a model gives them, and the addresses that hosts have."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from msgspec import Struct

from apr.tools.errors import ToolError

LONGEST = 2000
"""Characters of a URL."""
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_PATH = "/:?#[]@!$&'()*+,;=%-._~"
"""What stays as it is in path and query, besides letters and digits."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Target(Struct, frozen=True):
    """A URL, taken apart. `host` is in lower case and ASCII, without brackets or a dot at its end.

    `port` is None where it is the scheme's own. `path` begins with a slash; it has the query.
    """

    scheme: str
    host: str
    port: int | None
    path: str

    @property
    def authority(self) -> str:
        """The host and port as they stand in a URL and a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse(url: str) -> Target:
    """Take a URL apart.

    Raises:
        ToolError: it is none that can be fetched.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ToolError(f"{url!r} is not a URL: {error}") from None
    if len(url) > LONGEST:
        raise ToolError(f"the URL has {len(url):,} characters; {LONGEST:,} are the most")
    if parts.scheme not in {"http", "https"} or not host:
        raise ToolError(f"{url!r} is not a URL that begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ToolError("the URL has a user name or a password in it: leave them out")
    path = quote(parts.path or "/", safe=_PATH)
    query = f"?{quote(parts.query, safe=_PATH)}" if parts.query else ""
    own_port = {"http": 80, "https": 443}[parts.scheme]
    return Target(parts.scheme, _host(host), None if port == own_port else port, path + query)


def _host(name: str) -> str:
    """Return a host in the one form that rules are compared with.

    Raises:
        ToolError: no host can be called that.
    """
    if ":" in name:
        try:
            if "%" in name:  # a zone: only this machine knows what it means
                raise ValueError
            return str(ipaddress.IPv6Address(name))
        except ValueError:
            raise ToolError(f"{name!r} is not an address") from None
    try:
        ascii_name = name.rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        ascii_name = ""
    if not _NAME.fullmatch(ascii_name):
        raise ToolError(f"{name!r} is not the name of a host")
    return ascii_name


async def addresses(target: Target, *, private: bool) -> list[str]:
    """Return the addresses of a host, in the order in which to try them.

    Whoever connects must use these, and not ask again: the next answer may be another.

    Args:
        target: its host and port.
        private: whether it may be this machine, or one that only its networks reach.

    Raises:
        ToolError: it has none, or one of them is private and must not be.
    """
    port = target.port or {"http": 80, "https": 443}[target.scheme]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ToolError(f"there is no host {target.host} that this machine knows of") from None
    texts = [str(info[4][0]).partition("%")[0] for info in found]
    if not private:
        refuse_private(target.host, texts)
    return list(dict.fromkeys(texts))


def refuse_private(host: str, texts: Iterable[str]) -> None:
    """Refuse a host if one of its addresses is not public.

    Raises:
        ToolError: saying which, and how a user can allow it.
    """
    for text in texts:
        if not is_public(ipaddress.ip_address(text)):
            raise ToolError(
                f"{host} has the address {text}, which is this machine's or its network's own. "
                f"Only the rule WebFetch(domain:{host}) among those that allow opens it."
            )


async def is_private(target: Target) -> bool:
    """Whether an address of the host is not public.

    Raises:
        ToolError: it has none.
    """
    found = await addresses(target, private=True)
    return not all(is_public(ipaddress.ip_address(text)) for text in found)


def is_address(host: str) -> bool:
    """Whether a host is written as an address, not as a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: Address) -> bool:
    """Whether an address is on the internet at large, and so is the one it stands for, if any."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        within = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
        if not all(is_public(one) for one in within if one is not None):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
