"""What has to be known of a git repository to hash the tree it lies in, read from its files.

Everything read here may be hostile: nothing is followed to where it could hang or run a program.
"""
# Git's paths are bytes, and pathlib has no paths of bytes.
# ruff: noqa: PTH112, PTH118

import os
import stat
from collections.abc import Iterable

_MAX_SYMREF_DEPTH = 5


def open_regular(path: bytes) -> tuple[int, os.stat_result] | None:
    """Open a regular file without following a link or waiting for a pipe's other end.

    Return its descriptor and status, or None if the path is no regular file.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status
    os.close(descriptor)
    return None


def read_small(path: bytes) -> bytes | None:
    """Return what is in a regular file of git's own, or None where there is none to read."""
    try:
        opened = open_regular(path)
    except OSError:
        return None
    if opened is None:
        return None
    with os.fdopen(opened[0], "rb") as file:
        return file.read()


def git_directory(root: bytes) -> bytes | None:
    """Return where a checkout's repository is: `.git`, or the directory that `.git` names."""
    path = os.path.join(root, b".git")
    if os.path.isdir(path):
        return path
    text = read_small(path)
    if text is None or not text.startswith(b"gitdir: "):
        return None
    return os.path.join(root, text.removeprefix(b"gitdir: ").rstrip(b"\r\n"))


def common_directory(repository: bytes) -> bytes:
    """Return the repository that a linked worktree's own directory belongs to."""
    text = read_small(os.path.join(repository, b"commondir"))
    return repository if text is None else os.path.join(repository, text.rstrip(b"\r\n"))


def checked_out_commit(directory: bytes) -> str | None:
    """Return the SHA-256 id of the commit checked out in a nested repository, if it has one."""
    repository = git_directory(directory)
    if repository is None:
        return None
    common = common_directory(repository)
    value = read_small(os.path.join(repository, b"HEAD"))
    for _ in range(_MAX_SYMREF_DEPTH):
        if value is None or not value.startswith(b"ref: refs/") or b".." in value:
            break
        ref = value.removeprefix(b"ref: ").rstrip()
        value = (
            read_small(os.path.join(repository, ref))
            or read_small(os.path.join(common, ref))
            or _packed_ref(common, ref)
        )
    commit = (value or b"").strip().decode("ascii", "replace")
    return commit if len(commit) == 64 and set(commit) <= set("0123456789abcdef") else None


def _packed_ref(common: bytes, ref: bytes) -> bytes | None:
    for line in (read_small(os.path.join(common, b"packed-refs")) or b"").splitlines():
        commit, _, name = line.partition(b" ")
        if name == ref:
            return commit
    return None


def tracked_though_ignored(root: bytes, repository: bytes) -> Iterable[bytes]:
    """Ask git which ignored paths are in its index. Nothing its configuration names is run."""
    import subprocess

    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command: list[str | bytes] = [
        "git",
        "-c",
        "core.fsmonitor=false",
        "-c",
        "core.hooksPath=/dev/null",
    ]
    command += [b"--git-dir=" + repository, b"--work-tree=" + root]
    command += ["ls-files", "--cached", "--ignored", "--exclude-standard", "-z"]
    try:
        answer = subprocess.run(
            command,
            cwd=root,
            env=inherited | {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return ()  # no git: then nothing is known to be tracked
    return filter(None, answer.stdout.split(b"\0")) if answer.returncode == 0 else ()
