"""What a sandboxed program tried to reach: packets that are seen, names that are asked for.

Every address leads back to the sandbox itself, where nobody listens, so an attempt fails at once
and harmlessly, and is seen. A name is answered with an address that stands for it alone, so that
the connection which follows tells the name, too.
"""

import selectors
import socket
import struct
import threading
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from msgspec import Struct

from ccpa.sandbox.inside import IP_PKTINFO, OWN_ADDRESS

Protocol = Literal["tcp", "udp", "icmp", "name"]

_FIRST_ADDRESS = int(IPv4Address("198.18.0.1"))  # RFC 2544: for tests, never on the Internet
_MOST = 1000  # attempts that are noted: what comes after says nothing new
_OUTGOING = 4  # each packet is seen when it leaves and when it arrives, here
_IPV4, _IPV6 = 0x0800, 0x86DD
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_SYN, _ACK = 2, 16
_ECHO, _ECHO_V6 = 8, 128
_NAMES = 53
_A = 1
_TTL = b"\0\0\0\0"


class Attempt(Struct, frozen=True, kw_only=True):
    """Something outside that a program tried to reach.

    Args:
        ts: when it first did: RFC 3339, UTC.
        protocol: `name` for a question to a name server.
        host: the name, where it had asked for one; else the address.
        port: None where the protocol has none.
    """

    ts: str
    protocol: Protocol
    host: str
    port: int | None = None

    def __str__(self) -> str:
        place = self.host if self.port is None else f"{self.host} port {self.port}"
        return f"{self.ts} {self.protocol} {place}"


class Watch:
    """Answers names and notes attempts, in a thread of its own, until it is stopped.

    Args:
        names: a UDP socket of the sandbox on port 53.
        packets: a packet socket of the sandbox.
    """

    def __init__(self, names: socket.socket, packets: socket.socket) -> None:
        self._names = names
        self._packets = packets
        self._own_names = {"localhost", socket.gethostname().lower()}
        self._addresses: dict[str, str] = {}
        self._attempts: dict[tuple[str, str, int | None], Attempt] = {}
        self._stopped, self._stop = socket.socketpair()
        for one in (names, packets):
            one.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="sandbox-watch", daemon=True)
        self._thread.start()

    def stop(self) -> list[Attempt]:
        """Take in what is still waiting, stop, and return the attempts in order of time.

        Each is there once, and there are no more than 1000.
        """
        self._stop.close()
        self._thread.join()
        for one in (self._stopped, self._names, self._packets):
            one.close()
        return list(self._attempts.values())

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for one in (self._names, self._packets, self._stopped):
                selector.register(one, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                self._take_names()
                self._take_packets()
                if self._stopped in ready:
                    return

    def _take_packets(self) -> None:
        while True:
            try:
                packet, (_, kind, direction, *_) = self._packets.recvfrom(256)
            except BlockingIOError:
                return
            found = destination(kind, packet) if direction == _OUTGOING else None
            if found is not None:
                protocol, address, port = found
                self._note(protocol, self._addresses.get(address, address), port)

    def _take_names(self) -> None:
        while True:
            try:
                query, ancillary, _, asker = self._names.recvmsg(4096, 64)
            except BlockingIOError:
                return
            self._take_packets()  # those before the question: attempts are in order of time
            answer = self._answer(query)
            if answer is not None:
                # The answer must come from the address that was asked.
                self._names.sendmsg([answer], _from_the_same(ancillary), 0, asker)

    def _answer(self, query: bytes) -> bytes | None:
        question = read_question(query)
        if question is None:
            return None
        name, kind, end = question
        address: str | None = None
        found = True
        if name in self._own_names:
            address = "127.0.0.1"
        elif name.endswith(".arpa"):  # asks whose an address is; servers ask that of their own
            found = False
        else:
            self._note("name", name, None)
            address = self._address(name)
            found = address is not None
        answers = b""
        if kind == _A and address is not None:
            answers = b"\xc0\x0c\0\1\0\1" + _TTL + b"\0\4" + socket.inet_aton(address)
        flags = 0x8180 if found else 0x8183
        head = query[:2] + struct.pack("!HHHHH", flags, 1, int(bool(answers)), 0, 0)
        return head + query[12:end] + answers

    def _address(self, name: str) -> str | None:
        for address, known in self._addresses.items():
            if known == name:
                return address
        if len(self._addresses) == _MOST:
            return None
        address = str(IPv4Address(_FIRST_ADDRESS + len(self._addresses)))
        self._addresses[address] = name
        return address

    def _note(self, protocol: Protocol, host: str, port: int | None) -> None:
        if len(self._attempts) == _MOST:
            return
        ts = datetime.now(tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        attempt = Attempt(ts=ts, protocol=protocol, host=host, port=port)
        self._attempts.setdefault((protocol, host, port), attempt)


def destination(kind: int, packet: bytes) -> tuple[Protocol, str, int | None] | None:
    """Return what a packet is out to reach; None for answers, and for the sandbox's own addresses.

    Args:
        kind: its Ethernet protocol number.
        packet: from its IP header on.
    """
    try:
        if kind == _IPV4:
            protocol, rest = packet[9], packet[(packet[0] & 15) * 4 :]
            address = str(IPv4Address(packet[16:20]))
            own = address == OWN_ADDRESS or address.startswith("127.")
        elif kind == _IPV6:
            protocol, rest = packet[6], packet[40:]
            address = str(IPv6Address(packet[24:40]))
            own = address == "::1"
        else:
            return None
        if own:
            return None
        if protocol == _TCP:
            opens = rest[13] & (_SYN | _ACK) == _SYN
            return ("tcp", address, _port(rest, 2)) if opens else None
        if protocol == _UDP:
            return None if _port(rest, 0) == _NAMES else ("udp", address, _port(rest, 2))
        asks = (protocol, rest[0]) in {(_ICMP, _ECHO), (_ICMPV6, _ECHO_V6)}
        return ("icmp", address, None) if asks else None
    except (IndexError, struct.error, ValueError):
        return None


def _port(header: bytes, offset: int) -> int:
    return int(struct.unpack_from("!H", header, offset)[0])


def read_question(query: bytes) -> tuple[str, int, int] | None:
    """Return the name that a DNS query asks for, the type of record, and where its question ends.

    None where it is no query for one name.
    """
    if len(query) < 12 or query[2] & 0x80 or query[4:6] != b"\0\1":
        return None
    labels: list[str] = []
    at = 12
    while at < len(query) and query[at]:
        length = query[at]
        if length > 63:
            return None
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "backslashreplace"))
        at += 1 + length
    if at + 5 > len(query):
        return None
    return ".".join(labels).lower(), struct.unpack_from("!H", query, at + 1)[0], at + 5


def _from_the_same(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):  # interface, own address, theirs
            return [(level, kind, struct.pack("=I4s4s", 0, data[8:12], b"\0" * 4))]
    return []
