"""The first process of a sandbox: makes the namespaces, hands out sockets, runs the command.

It is run as a script, by a bare interpreter, so that it is one thread (which a user namespace
demands) and starts in a few milliseconds: nothing but the standard library is imported. It is told
what to do in one JSON message on a Unix socket whose descriptor is its only argument, and answers
there: `{"ready": true}` with its sockets, or `{"error": ...}`, or `{"no_command": ...}`.

The command keeps the caller's user id and gets no privileges: it can change neither routes nor
mounts. Sockets belong to the network namespace they were made in, whoever holds them; so the
caller serves, answers names and watches packets in here from outside.
"""

import array
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_CLONE_NEWNS = 0x00020000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41}

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_RTM_NEWADDR, _RTM_NEWROUTE, _NLM_REQUEST_CREATE_ACK = 20, 24, 0x0405
_RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL, _RTA_OIF = 255, 3, 254, 2, 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_SO_ATTACH_FILTER = 26
_ETH_P_ALL = 3
IP_PKTINFO = 8  # which Python leaves out

OWN_ADDRESS = "192.0.0.8"
"""The sandbox's own address beside loopback (RFC 7600's dummy address): resolvers look for
addresses of a family only where an interface has one."""

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Run the sandbox; return the command's exit status, 128 + n for signal n."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    spec = json.loads(_line(control))
    try:
        _unshare()
        first = os.fork()
    except OSError as error:
        _say(control, {"error": f"no namespaces: {error.strerror}"})
        return 1
    if first == 0:
        os._exit(_first_process(control, spec))
    control.close()
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def _unshare() -> None:
    user, group = os.geteuid(), os.getegid()
    kinds = _CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWPID | _CLONE_NEWIPC
    _check(_libc.unshare(kinds))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _first_process(control: socket.socket, spec: dict[str, Any]) -> int:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    step = "network"
    try:
        _network()
        sockets = [_listener(), _names(), _packets()]
        sockets += [_listener(port) for port in spec["ports"]]
        step = "files"
        _files(spec)
        os.chdir(spec["cwd"])
    except OSError as error:
        _say(control, {"error": f"no {step} of its own: {error.strerror}"})
        return 1
    _say(control, {"ready": True}, sockets)
    for one in sockets:
        one.close()
    streams: list[int] = []
    command = _line(control, streams)
    return _command(control, json.loads(command), streams) if command else 1


# The network: loopback, on which every address there is is local.


def _network() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(one, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
    index = socket.if_nametoindex("lo")
    own = socket.inet_aton(OWN_ADDRESS)
    address = struct.pack("=BBBBi", socket.AF_INET, 32, 0, 0, index)
    _netlink(_RTM_NEWADDR, address + _attribute(_IFA_LOCAL, own) + _attribute(_IFA_ADDRESS, own))
    for family in (socket.AF_INET, socket.AF_INET6):
        route = struct.pack(
            "=BBBBBBBBI",
            *(family, 0, 0, 0, _RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL, 0),
        )
        try:
            _netlink(_RTM_NEWROUTE, route + _attribute(_RTA_OIF, struct.pack("=i", index)))
        except OSError:
            if family == socket.AF_INET:  # a kernel without IPv6 reaches nothing by it either
                raise


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def _netlink(kind: int, body: bytes) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as one:
        one.bind((0, 0))
        head = struct.pack("=IHHII", 16 + len(body), kind, _NLM_REQUEST_CREATE_ACK, 1, 0)
        one.send(head + body)
        answer = one.recv(4096)
    code = struct.unpack_from("=i", answer, 16)[0]
    if code:
        raise OSError(-code, os.strerror(-code))


def _listener(port: int = 0) -> socket.socket:
    """Return where something is to be served: the model, on any port."""
    return socket.create_server(("127.0.0.1", port))


def _names() -> socket.socket:
    """Return where names are asked for: on every address, since all of them lead here."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    one.bind(("0.0.0.0", 53))  # noqa: S104 (of this namespace alone)
    return one


def _packets() -> socket.socket:
    """Return a socket that sees every packet but those for 127.0.0.0/8, which may be many."""
    one = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
    program = [
        (0x30, 0, 0, 0),  # the version is in the upper half of byte 0
        (0x54, 0, 0, 0xF0),
        (0x15, 0, 2, 0x40),  # not 4: seen
        (0x30, 0, 0, 16),  # the first byte of the destination
        (0x15, 1, 0, 127),
        (0x06, 0, 0, 0xFFFF),  # seen
        (0x06, 0, 0, 0),  # not seen
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    head = struct.pack("@HP", len(program), ctypes.addressof(code))
    one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
    return one


# The files: a root of its own, in which the host's directories are mounted.


def _files(spec: dict[str, Any]) -> None:
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    root = spec["root"]
    _mount("sandbox", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755")
    for entry in list(os.scandir("/")):
        _bring_in(entry, f"{root}/{entry.name}")
    Path(root, "proc").mkdir()
    _mount("proc", f"{root}/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _mount("etc", f"{root}/etc", "overlay", 0, f"lowerdir={spec['etc']}:/etc")
    for source, place in spec["binds"]:
        Path(root + place).mkdir(parents=True, exist_ok=True)
        _mount(source, root + place, None, _MS_BIND | _MS_REC)
    _pivot(root)


def _bring_in(entry: os.DirEntry[str], place: str) -> None:
    """Mount one item of the host's root directory.

    `/run` stays empty, since sockets of resolvers and other services lie there, but for its links:
    NixOS finds its programs by one.
    """
    if entry.name == "proc":
        return
    if entry.is_symlink():
        Path(place).symlink_to(Path(entry.path).readlink())
    elif entry.name == "run":
        Path(place).mkdir()
        for link in (item for item in os.scandir("/run") if item.is_symlink()):
            Path(place, link.name).symlink_to(Path(link.path).readlink())
    elif entry.is_dir():
        Path(place).mkdir()
        _mount(entry.path, place, None, _MS_BIND | _MS_REC)


def _mount(source: str | None, place: str, kind: str | None, flags: int, data: str = "") -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, place, kind)]
    _check(_libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None), place)


def _pivot(root: str) -> None:
    machine = os.uname().machine
    if machine not in _PIVOT_ROOT:
        raise OSError(errno.ENOSYS, f"pivot_root is not known on {machine}")
    os.chdir(root)
    _check(_libc.syscall(ctypes.c_long(_PIVOT_ROOT[machine]), b".", b"."))
    _check(_libc.umount2(b".", _MNT_DETACH))


# The command: without privileges, and with an end to all that it started.


def _command(control: socket.socket, told: dict[str, Any], streams: Sequence[int]) -> int:
    """Run what is told. `streams` are its standard input and output, where ours will not do."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    agent = os.fork()
    if agent == 0:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        _execute(control, told["argv"], told["environment"])
    for stream in streams:
        os.close(stream)
    while True:
        ready, _, _ = select.select([wake, control.fileno()], [], [])
        if control.fileno() in ready:  # the caller is gone, or has waited long enough
            return 1
        os.read(wake, 512)
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if process == agent:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            if process == 0:
                break


def _execute(control: socket.socket, argv: list[str], environment: dict[str, str]) -> None:
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for capability in range(64):
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.execvpe(argv[0], argv, environment)  # noqa: S606
    except OSError as error:
        _say(control, {"no_command": f"{argv[0]}: {error.strerror}"})
        os._exit(127)


# The socket to the caller: JSON, a line a message.


def _line(control: socket.socket, descriptors: list[int] | None = None) -> bytes:
    """Read a message; put the descriptors that come with it into the list."""
    data = b""
    while not data.endswith(b"\n"):
        piece, came, _, _ = socket.recv_fds(control, 65536, 2, socket.MSG_CMSG_CLOEXEC)
        if descriptors is not None:
            descriptors += came
        if not piece:
            return b""
        data += piece
    return data


def _say(
    control: socket.socket, message: dict[str, Any], sockets: Sequence[socket.socket] = ()
) -> None:
    descriptors = array.array("i", [one.fileno() for one in sockets])
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)] if sockets else []
    control.sendmsg([json.dumps(message).encode() + b"\n"], rights)


def _check(result: int, about: str = "") -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{about}: {os.strerror(code)}" if about else os.strerror(code))


if __name__ == "__main__":
    sys.exit(main())
