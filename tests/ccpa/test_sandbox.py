"""A network of its own. Nothing here leaves the machine: every attempt is made inside a sandbox."""

import fcntl
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccpa.errors import CcpaError
from ccpa.sandbox import (
    Attempt,
    Place,
    Sandbox,
    SandboxUnavailable,
    Streams,
    Unconfined,
    unavailable,
)
from ccpa.sandbox.inside import OWN_ADDRESS
from ccpa.sandbox.watch import destination, read_question

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}

needs_namespaces = pytest.mark.skipif(
    unavailable() is not None, reason=f"no sandbox here: {unavailable()}"
)

MakePlace = Callable[[Path], Place]


def sandbox(scratch: Path) -> Place:
    return Sandbox(scratch / "sandbox", "/", Streams(scratch / "out", scratch / "err"))


def unconfined(scratch: Path) -> Place:
    return Unconfined(scratch, Streams(scratch / "out", scratch / "err"))


def python(place: Place, program: str, *, timeout_s: float = 30) -> int | None:
    return place.run([sys.executable, "-c", program], ENVIRONMENT, timeout_s=timeout_s)


def attempts_of(scratch: Path, program: str) -> list[tuple[str, str, int | None]]:
    """Run a program in a sandbox; return what it tried to reach."""
    with sandbox(scratch) as place:
        status = python(place, program)
        found: list[tuple[str, str, int | None]] = [
            (one.protocol, one.host, one.port) for one in place.attempts()
        ]
    assert status == 0, (scratch / "err").read_text()
    return found


places = pytest.mark.parametrize(
    "make", [pytest.param(sandbox, marks=needs_namespaces), unconfined], ids=["sandbox", "none"]
)


@places
def test_a_command_reaches_the_listener(make: MakePlace, tmp_path: Path) -> None:
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(100))

    with make(tmp_path) as place:
        port = place.listener.getsockname()[1]
        server = threading.Thread(target=serve, args=(place.listener,))
        server.start()
        call = f"import socket; socket.create_connection(('127.0.0.1', {port})).send(b'hello')"
        assert python(place, call) == 0
        server.join()
        assert place.attempts() == []
    assert heard == [b"hello"]


@places
@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 15)", 128 + signal.SIGTERM),
    ],
)
def test_the_exit_status_is_the_commands(
    make: MakePlace, tmp_path: Path, program: str, status: int
) -> None:
    with make(tmp_path) as place:
        assert python(place, program) == status


@places
def test_a_command_that_takes_too_long_is_ended(make: MakePlace, tmp_path: Path) -> None:
    with make(tmp_path) as place:
        assert python(place, "import time; time.sleep(600)", timeout_s=0.2) is None


@places
def test_a_command_that_is_not_there_is_an_error(make: MakePlace, tmp_path: Path) -> None:
    with make(tmp_path) as place, pytest.raises(CcpaError, match=r"cannot start no-such-agent"):
        place.run(["no-such-agent"], ENVIRONMENT, timeout_s=30)


@places
def test_what_the_command_leaves_running_ends_with_it(make: MakePlace, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    child = f"import fcntl, time; f = open({str(lock)!r}, 'w'); fcntl.flock(f, 2); "
    child += "print('locked', flush=True); time.sleep(600)"
    program = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
    )
    with make(tmp_path) as place:
        assert python(place, program) == 0
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # free as soon as its holder is dead


@needs_namespaces
def test_a_connection_to_another_host_is_noted_and_fails(tmp_path: Path) -> None:
    program = """\
import socket
try:
    socket.create_connection(("192.0.2.1", 443), timeout=10)
except ConnectionRefusedError:
    pass
"""
    before = datetime.now(tz=UTC)
    with sandbox(tmp_path) as place:
        assert python(place, program) == 0, (tmp_path / "err").read_text()
        (attempt,) = place.attempts()
    assert (attempt.protocol, attempt.host, attempt.port) == ("tcp", "192.0.2.1", 443)
    when = datetime.fromisoformat(attempt.ts)
    assert before.timestamp() - 0.001 <= when.timestamp() <= datetime.now(tz=UTC).timestamp()
    assert str(attempt) == f"{attempt.ts} tcp 192.0.2.1 port 443"


@needs_namespaces
def test_a_host_is_known_by_the_name_it_was_looked_up_by(tmp_path: Path) -> None:
    program = """\
import socket
for name, port in ("example.com", 443), ("www.example.org", 80), ("example.com", 8443):
    try:
        socket.create_connection((name, port), timeout=10)
    except ConnectionRefusedError:
        pass
"""
    assert attempts_of(tmp_path, program) == [
        ("name", "example.com", None),
        ("tcp", "example.com", 443),
        ("name", "www.example.org", None),
        ("tcp", "www.example.org", 80),
        ("tcp", "example.com", 8443),
    ]


@needs_namespaces
def test_datagrams_and_the_other_ip_are_noted_too(tmp_path: Path) -> None:
    program = """\
import socket
for _ in range(3):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("198.51.100.7", 443))
try:
    socket.create_connection(("2001:db8::1", 443), timeout=10)
except OSError as error:
    print(error)
"""
    found = attempts_of(tmp_path, program)
    assert found[0] == ("udp", "198.51.100.7", 443)
    has_ipv6 = "refused" in (tmp_path / "out").read_text()
    assert found[1:] == ([("tcp", "2001:db8::1", 443)] if has_ipv6 else [])


@needs_namespaces
def test_a_name_server_of_ones_own_choice_is_found_out(tmp_path: Path) -> None:
    query = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1"
    program = f"""\
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.settimeout(10)
    one.sendto({query!r}, ("203.0.113.53", 53))
    answer, server = one.recvfrom(1000)
    assert server == ("203.0.113.53", 53), server
    assert answer[:2] == b"\\x12\\x34" and answer.endswith(socket.inet_aton("198.18.0.1")), answer
"""
    assert sorted(attempts_of(tmp_path, program)) == [
        ("name", "example.com", None),
        ("udp", "203.0.113.53", 53),
    ]


@needs_namespaces
def test_of_very_many_attempts_the_first_thousand_are_noted(tmp_path: Path) -> None:
    program = """\
import socket
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(2000, 4000):
    one.sendto(b"x", ("198.51.100.7", port))
    if port % 50 == 0:  # an answer comes when all packets before the question have been seen
        socket.gethostbyname("a.example")
"""
    found = attempts_of(tmp_path, program)
    assert len(found) == 1000
    assert found[0] == ("udp", "198.51.100.7", 2000)


@needs_namespaces
def test_what_stays_inside_is_no_attempt(tmp_path: Path) -> None:
    program = f"""\
import socket
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
for host in "127.0.0.1", "127.1.2.3", "localhost":
    try:
        socket.create_connection((host, port), timeout=10)
    except ConnectionRefusedError:
        pass
everywhere = socket.create_server(("", 0))
socket.create_connection(({OWN_ADDRESS!r}, everywhere.getsockname()[1]), timeout=10)
socket.gethostbyname(socket.gethostname())
socket.getfqdn("0.0.0.0")
if socket.has_ipv6:
    try:
        socket.create_connection(("::1", port), timeout=10)
    except OSError:
        pass
"""
    assert attempts_of(tmp_path, program) == []


@needs_namespaces
def test_the_command_has_no_power_over_the_sandbox(tmp_path: Path) -> None:
    program = """\
import ctypes, os, socket
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status"))
assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0, status
for kind in socket.AF_PACKET, socket.AF_INET:
    try:
        socket.socket(kind, socket.SOCK_RAW, 0 if kind == socket.AF_PACKET else 1)
    except PermissionError:
        continue
    raise SystemExit("raw sockets are allowed")
assert ctypes.CDLL(None).umount2(b"/etc", 0) == -1
assert [name for _, name in socket.if_nameindex()] == ["lo"]
"""
    with sandbox(tmp_path) as place:
        assert python(place, program) == 0, (tmp_path / "err").read_text()


@needs_namespaces
def test_directories_and_files_of_etc_are_put_in_place(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    streams = Streams(tmp_path / "out", tmp_path / "err")
    place = Sandbox(
        tmp_path / "sandbox",
        "/elsewhere/deep",
        streams,
        binds={tmp_path / "work": "/elsewhere/deep"},
        etc={"some-agent/policy.json": "{}"},
    )
    program = "cat /etc/some-agent/policy.json; pwd; echo made > here; test -e /etc/passwd"
    with place:
        assert place.run(["bash", "-c", program], ENVIRONMENT, timeout_s=30) == 0
    assert streams.stdout.read_text() == "{}/elsewhere/deep\n"
    assert (tmp_path / "work" / "here").read_text() == "made\n"
    assert not Path("/elsewhere").exists()


@needs_namespaces
def test_sockets_of_the_machines_services_are_out_of_reach(tmp_path: Path) -> None:
    with sandbox(tmp_path) as place:
        names = "import os; print([n for n in os.listdir('/run') if not os.path.islink('/run/'+n)])"
        assert python(place, names) == 0
    assert (tmp_path / "out").read_text() == "[]\n"


@pytest.mark.skipif(sys.platform == "linux", reason="Linux has namespaces")
def test_other_systems_say_that_they_have_none(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="no network namespaces"), sandbox(tmp_path):
        pass


@needs_namespaces
def test_a_place_that_cannot_be_made_says_which(tmp_path: Path) -> None:
    streams = Streams(tmp_path / "out", tmp_path / "err")
    missing = tmp_path / "missing"
    place = Sandbox(tmp_path / "sandbox", "/elsewhere", streams, binds={missing: "/elsewhere"})
    with pytest.raises(SandboxUnavailable, match="/elsewhere"), place:
        pass


def tcp(flags: int, *, port: int = 443, to: str = "192.0.2.1") -> bytes:
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, b"\n\0\0\1", socket.inet_aton(to)
    )
    return head + struct.pack("!HHIIBBHHH", 40000, port, 0, 0, 0x50, flags, 0, 0, 0)


def test_only_the_packet_that_opens_a_connection_counts() -> None:
    syn, syn_ack, rst = 0x02, 0x12, 0x04
    assert destination(0x0800, tcp(syn)) == ("tcp", "192.0.2.1", 443)
    assert destination(0x0800, tcp(syn_ack)) is None
    assert destination(0x0800, tcp(rst)) is None
    assert destination(0x0800, tcp(syn, to="127.0.0.1")) is None
    assert destination(0x0806, tcp(syn)) is None


@given(st.integers(0, 0xFFFF) | st.sampled_from([0x0800, 0x86DD]), st.binary(max_size=80))
def test_no_packet_is_too_odd(kind: int, packet: bytes) -> None:
    found = destination(kind, packet)
    assert found is None or isinstance(found[1], str)


@given(st.binary(max_size=80))
def test_no_question_is_too_odd(query: bytes) -> None:
    question = read_question(query)
    assert question is None or question[2] <= len(query)


@given(st.lists(st.from_regex(r"[a-z0-9-]{1,63}", fullmatch=True), min_size=1, max_size=4))
def test_a_question_is_read(labels: list[str]) -> None:
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels)
    query = b"\0\1\1\0\0\1\0\0\0\0\0\0" + name + b"\0\0\x1c\0\1"
    assert read_question(query + b"more") == (".".join(labels), 28, len(query))


def test_an_attempt_without_a_port_is_shown_without_one() -> None:
    one = Attempt(ts="2026-01-01T00:00:00.000Z", protocol="name", host="example.com")
    assert str(one) == "2026-01-01T00:00:00.000Z name example.com"
