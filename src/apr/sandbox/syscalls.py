"""The system calls that a confined command does not get: a filter for the kernel (seccomp).

Mounts and namespaces say nothing of Unix sockets that lie on the disk, of the user's keyring, or of
typing into a terminal.
"""

import platform
import struct

_LOAD, _EQUAL, _GREATER, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NUMBER, _MACHINE, _ARGUMENT = 0, 4, 16
"""Where these stand in what the kernel shows a filter; each argument takes 8 bytes."""
_AF_UNIX, _TIOCSTI, _TIOCLINUX = 1, 0x5412, 0x541C
_X32 = 0x40000000

_MACHINES = {
    # machine -> its audit number, and those of socket, ioctl, add_key, request_key, keyctl
    "x86_64": (0xC000003E, 41, 16, 248, 249, 250),
    "aarch64": (0xC00000B7, 198, 29, 217, 218, 219),
}
_IO_URING_SETUP = 425


def program(machine: str | None = None, *, unix_sockets: bool = False) -> bytes | None:
    """Return the filter as bubblewrap takes it; None for a machine that is not known.

    Args:
        machine: as `uname -m` says it; None for this one.
        unix_sockets: whether they may be made.
    """
    known = _MACHINES.get(machine or platform.machine())
    if known is None:
        return None
    audit, socket, ioctl, *keys = known
    code = [
        _word(_LOAD, _MACHINE),
        _word(_EQUAL, audit, 1, 0),
        _word(_RETURN, _ERRNO | _ENOSYS),
        _word(_LOAD, _NUMBER),
        _word(_GREATER, _X32, 0, 1),
        _word(_RETURN, _ERRNO | _ENOSYS),
    ]
    # A ring would make sockets and open files past this filter.
    for number in (*keys, _IO_URING_SETUP):
        code += [_word(_EQUAL, number, 0, 1), _word(_RETURN, _ERRNO | _EPERM)]
    code += _when(ioctl, 1, _TIOCSTI) + _when(ioctl, 1, _TIOCLINUX)
    if not unix_sockets:
        code += _when(socket, 0, _AF_UNIX)
    return b"".join([*code, _word(_RETURN, _ALLOW)])


def _when(call: int, argument: int, value: int) -> list[bytes]:
    """Refuse a call whose argument, as the kernel takes it (32 bits), is this."""
    return [
        _word(_EQUAL, call, 0, 4),
        _word(_LOAD, _ARGUMENT + 8 * argument),
        _word(_EQUAL, value, 0, 1),
        _word(_RETURN, _ERRNO | _EPERM),
        _word(_LOAD, _NUMBER),
    ]


def _word(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
