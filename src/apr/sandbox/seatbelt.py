"""A profile in the language of macOS's sandbox-exec (Seatbelt).

Written after what others say of that language, for Apple documents none. It has not been run.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from apr.sandbox.profile import Profile

PROGRAM = "/usr/bin/sandbox-exec"


def arguments(
    profile: Profile, argv: Sequence[str], *, temp: Path, proxy_port: int | None
) -> list[str]:
    """Return the command that runs `argv`, confined. Where it runs is not changed."""
    unset = [word for name in profile.unset for word in ("-u", name)]
    confined = ["/usr/bin/env", *unset, f"TMPDIR={temp}", *argv]
    return [PROGRAM, "-p", text(profile, temp=temp, proxy_port=proxy_port), *confined]


def text(profile: Profile, *, temp: Path, proxy_port: int | None) -> str:
    """Return the profile as sandbox-exec reads it. Of rules that fit, the last decides."""
    lines = ["(version 1)", "(allow default)", "(deny network*)", "(deny file-write*)"]
    lines += _each("allow file-write*", (*profile.writable, temp.resolve()))
    lines += [f'(allow file-write* (literal "/dev/{name}"))' for name in ("null", "tty", "zero")]
    lines += _each("deny file-write*", (*profile.fixed, *profile.missing, *profile.hidden))
    lines += _each("allow file-write*", profile.reopened)
    # What is fixed must not be renamed with the folder that it is in.
    above = {folder for path in (*profile.fixed, *profile.missing) for folder in path.parents}
    lines += [f"(deny file-write-unlink (literal {_quoted(one)}))" for one in sorted(above)]
    lines += _each("deny file-read*", profile.hidden)
    lines += _each("allow file-read*", profile.shown)
    if profile.any_socket and not profile.sockets:
        lines.append("(allow network* (local unix-socket))")
        lines.append("(allow network-outbound (remote unix-socket))")
    lines += [
        f"(allow network-outbound (remote unix-socket (path-literal {_quoted(path)})))"
        for path in profile.sockets
    ]
    if proxy_port is not None:
        lines.append(f'(allow network-outbound (remote ip "localhost:{proxy_port}"))')
    return "\n".join(lines)


@cache
def unavailable() -> str | None:
    """Say why nothing can be confined here; None if it can."""
    return None if Path(PROGRAM).exists() else f"there is no {PROGRAM}"


def _each(rule: str, paths: Iterable[Path]) -> list[str]:
    return [f"({rule} (subpath {_quoted(path)}))" for path in paths]


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)
