"""A profile as arguments for bubblewrap: namespaces in which little is there and less is writable.

Mounts shadow each other, so their order is what decides. A folder in which something is fixed is a
mount of its own: it could else be renamed, and another put in its place.
"""

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from apr.sandbox.profile import Profile

PROGRAM = "bwrap"
_RETURN_S = 10.0


def arguments(
    profile: Profile, argv: Sequence[str], folder: Path, *, temp: Path, empty: Path
) -> list[str]:
    """Return the command that runs `argv` in a folder, confined.

    Args:
        profile: what it may do.
        argv: the command.
        folder: where it runs.
        temp: a folder that is its `/tmp`.
        empty: an empty folder.
    """
    made = [PROGRAM, "--die-with-parent", "--unshare-user", "--unshare-pid", "--unshare-ipc"]
    made += ["--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL"]  # root keeps them else
    made += ["--ro-bind", "/", "/", "--dev", "/dev"]
    if not profile.old_proc:
        made += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]  # root's to write
        made += ["--ro-bind-try", "/proc/sysrq-trigger", "/proc/sysrq-trigger"]
    made += ["--tmpfs", "/run", "--bind", str(temp), "/tmp"]  # noqa: S108 - that of the inside
    inside = [path for path in profile.hidden if _within(path, profile.writable)]
    there = (*profile.writable, *profile.shown)
    for path in profile.hidden:
        if path not in inside:
            made += _hide(path, empty, there)
    made += _each("--bind", profile.writable)
    guarded = (*profile.fixed, *profile.missing, *inside)
    made += _each("--bind", _pinned(guarded, profile.writable))
    late = [path for path in profile.fixed if _within(path, profile.reopened)]
    made += _each("--ro-bind", (path for path in profile.fixed if path not in late))
    made += _each("--bind", profile.reopened)
    made += _each("--bind", _pinned((*late, *profile.missing), profile.reopened))
    made += _each("--ro-bind", late)
    for path in profile.missing:
        made += ["--ro-bind", str(empty), str(path)]
    for path in inside:
        made += _hide(path, empty, profile.shown)
    made += _each("--ro-bind", (*profile.shown, *profile.sockets))
    return [*made, "--setenv", "TMPDIR", "/tmp", "--chdir", str(folder), "--", *argv]  # noqa: S108


@cache
def unavailable() -> str | None:
    """Say why nothing can be confined here, and what to do; None if it can. Tried once."""
    tried = [PROGRAM, "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    try:
        ran = subprocess.run([*tried, "true"], capture_output=True, timeout=_RETURN_S, check=False)
    except FileNotFoundError:
        return "bubblewrap is not installed: `apt-get install bubblewrap` or your system's like"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run: {error}"
    if shutil.which("nsenter") is None:
        return "nsenter is not installed: it comes with util-linux"
    if ran.returncode == 0:
        return None
    said = ran.stderr.decode(errors="replace").strip()
    return f"bubblewrap makes no namespaces here: {said}{_hint()}"


def _hint() -> str:
    """Say which setting of the kernel forbids namespaces, where it is known."""
    for name, forbids, wanted in (
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("user/max_user_namespaces", "0", "10000"),
    ):
        try:
            if Path("/proc/sys", name).read_text().strip() == forbids:
                return f"; `sysctl {name.replace('/', '.')}={wanted}` allows them"
        except OSError:
            continue
    return "; in a container, try the setting sandbox.enableWeakerNestedSandbox"


def _each(option: str, paths: Iterable[Path]) -> list[str]:
    return [word for path in paths for word in (option, str(path), str(path))]


def _hide(path: Path, empty: Path, shown: Sequence[Path]) -> list[str]:
    """Put nothing in a path's place: something in which what is shown can be mounted."""
    if any(one.is_relative_to(path) for one in shown):
        return ["--tmpfs", str(path)]
    return ["--ro-bind", str(empty) if path.is_dir() else "/dev/null", str(path)]


def _pinned(paths: Sequence[Path], writable: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders between what is writable and what is not, the outermost first."""
    found = {
        above
        for path in paths
        for above in path.parents
        if _within(above, writable) and above not in writable
    }
    yield from sorted(found)


def _within(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
