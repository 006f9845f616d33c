"""What confined commands may write, read and reach: from settings and what is on the disk.

How that is enforced is the business of `bwrap` (Linux) and `seatbelt` (macOS). Names and defaults
are those of Claude Code's documentation (code.claude.com/docs/en/sandboxing).
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from apr.agent.permissions import PROTECTED, Policy
from apr.agent.rules import anchored
from apr.settings.schema import Sandbox
from apr.subagents.place import WORKTREES

_SECRETS = (
    ".apr/engine", ".aws", ".azure", ".bash_history", ".boto", ".cargo/credentials",
    ".cargo/credentials.toml", ".claude.json", ".claude/.credentials.json", ".codex/auth.json",
    ".config/BraveSoftware", ".config/chromium", ".config/containers/auth.json", ".config/gcloud",
    ".config/gh", ".config/git/credentials", ".config/glab-cli", ".config/google-chrome",
    ".config/hub", ".config/op", ".config/rclone", ".docker", ".gem/credentials",
    ".git-credentials", ".gnupg", ".huggingface/token", ".cache/huggingface/token", ".kube",
    ".local/share/keyrings", ".m2/settings.xml", ".mozilla", ".mysql_history", ".netrc", ".npmrc",
    ".password-store", ".pgpass", ".pki", ".psql_history", ".pypirc", ".ssh", ".terraform.d",
    ".vault-token", ".zsh_history", "Library/Cookies", "Library/Keychains",
)  # fmt: skip
"""What in a user's home lets others act in the user's name."""
_SYSTEM_SECRETS = (Path("/etc/shadow"), Path("/etc/gshadow"), Path("/etc/sudoers"))

_START_UP = (
    ".bash_login", ".bash_logout", ".bash_profile", ".bashrc", ".config/autostart",
    ".config/fish", ".config/git", ".config/systemd", ".gitconfig", ".gitmodules", ".inputrc",
    ".local/bin", ".pam_environment", ".profile", ".pythonrc", ".ripgreprc", ".xinitrc",
    ".xprofile", ".xsession", ".zlogin", ".zprofile", ".zshenv", ".zshrc",
)  # fmt: skip
"""What runs when the user logs in or opens a shell; also in a project: that may be the home."""
_REPOSITORY = ("hooks", "config", "config.worktree", "commondir", "gitdir", "info/attributes")
"""What in a repository decides about what git runs."""
_NO_MODULES = frozenset({"hooks", "info", "lfs", "logs", "objects", "refs"})

_SECRET_VARIABLE = re.compile(
    r"(?:.*_)?(?:TOKEN|SECRET|PASSWORD|PASSWD|PASS|CREDENTIALS?|API_?KEY|ACCESS_KEY|SECRET_KEY"
    r"|PRIVATE_KEY|AUTH)(?:_.*)?|SSH_(?:AUTH_SOCK|AGENT_PID)|GPG_AGENT_INFO|XAUTHORITY"
    r"|DBUS_SESSION_BUS_ADDRESS|DISPLAY|WAYLAND_DISPLAY|DOCKER_HOST|KUBECONFIG",
    re.IGNORECASE,
)


class Profile(Struct, frozen=True, kw_only=True):
    """The rules for one command. Paths are resolved; what does not exist is left out."""

    writable: tuple[Path, ...]
    fixed: tuple[Path, ...] = ()
    """What in there cannot be changed."""
    reopened: tuple[Path, ...] = ()
    """What in that can be changed after all."""
    missing: tuple[Path, ...] = ()
    """What in there does not exist, and cannot be made."""
    hidden: tuple[Path, ...] = ()
    """What cannot be read."""
    shown: tuple[Path, ...] = ()
    """What in there can be read again."""
    sockets: tuple[Path, ...] = ()
    """Unix sockets that can be reached."""
    any_socket: bool = False
    unset: tuple[str, ...] = ()
    """Variables of the environment that are not passed on."""
    old_proc: bool = False
    """Whether the outer /proc is kept, where no other can be mounted."""


def profile(
    settings: Sandbox, policy: Policy, home: Path, environment: Mapping[str, str]
) -> Profile:
    """Return the profile that holds now. Looks at what there is, and changes nothing."""
    files = settings.filesystem

    def places(names: Iterable[str]) -> tuple[Path, ...]:
        paths = (place(name, policy.root, home) for name in names)
        return _there(path.resolve() for path in paths)

    writable = _there((policy.root, *policy.directories, *places(files.allow_write)))
    worktrees = _there(folder / WORKTREES for folder in writable)
    places_of_git = (*writable, *(tree for one in worktrees for tree in one.iterdir()))
    guards = [guard for folder in places_of_git for guard in _guards(folder, home)]
    fixed = [*guards, *places(files.deny_write), *_of_rules(policy, "Edit")]
    secrets = [home / name for name in _SECRETS]
    secrets += [path for path in _SYSTEM_SECRETS if os.access(path, os.R_OK)]
    hidden = (*_there(secrets), *places(files.deny_read), *_of_rules(policy, "Read"))
    network = settings.network
    return Profile(
        writable=writable,
        fixed=tuple(dict.fromkeys(path for path in fixed if path.exists())),
        reopened=worktrees,
        missing=tuple(dict.fromkeys(path for path in fixed if not path.exists())),
        hidden=tuple(dict.fromkeys(hidden)),
        shown=places(files.allow_read),
        sockets=places(network.allow_unix_sockets),
        any_socket=network.allow_all_unix_sockets or bool(network.allow_unix_sockets),
        unset=tuple(
            name for name in environment if name.isidentifier() and _SECRET_VARIABLE.fullmatch(name)
        ),
        old_proc=settings.enable_weaker_nested_sandbox,
    )


def place(name: str, root: Path, home: Path) -> Path:
    """Return what a path of the settings means: from `/`, from `~/`, else from the project."""
    if name.startswith("//"):
        return Path(name[1:])
    if name == "~" or name.startswith("~/"):
        return home / name[2:]
    return root / name


def plantable(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Return what would have git read another configuration, and is not there.

    Git fails where something else is in its place: so it cannot be kept out, only taken away.
    """
    return tuple(
        folder / ".git" / name
        for folder in folders
        for name in ("commondir", "config.worktree")
        if (folder / ".git").is_dir() and not (folder / ".git" / name).exists()
    )


def unguarded(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Return what should be guarded and cannot be: a link can be replaced by something else."""
    return tuple(
        folder / name for folder in folders for name in PROTECTED if (folder / name).is_symlink()
    )


def _guards(folder: Path, home: Path) -> Iterable[Path]:
    """Yield what in a writable folder stays as it is."""
    repository = folder / ".git"
    for name in PROTECTED:
        path = folder / name
        if path.is_symlink():
            yield from _there([path.resolve()])
        elif path == repository and path.is_dir():
            continue  # git works in it
        elif path.exists() or name != ".envrc":  # direnv asks before it reads a new one
            yield path
    for name in _START_UP:
        path = folder / name
        if not path.is_symlink() and (path.exists() or (folder == home and "/" not in name)):
            yield path
    for inner in _repositories(folder):
        yield from (
            inner / name
            for name in _REPOSITORY
            if (inner / name).exists() or (name == "hooks" and inner.parent.name != "worktrees")
        )


def _repositories(folder: Path) -> Iterable[Path]:
    """Yield git's own folders.

    What they are known by must be among what is fixed: one command could else make a folder
    unrecognisable, and the next one change what is in it.
    """
    repository = folder / ".git"
    if repository.is_dir() and not repository.is_symlink():
        yield repository
        yield from _modules(repository / "modules")
        yield from (repository / "worktrees").glob("*")
    bare = (folder / "HEAD").is_file() or (folder / "hooks").is_dir()
    if bare and (folder / "config").is_file():
        yield folder


def _modules(folder: Path) -> Iterable[Path]:
    """Yield the submodules' repositories, at any depth: their names may have slashes."""
    for child in folder.iterdir() if folder.is_dir() else ():
        if child.name in _NO_MODULES or child.is_symlink() or not child.is_dir():
            continue
        if (child / "config").exists() or (child / "hooks").exists():
            yield child
        yield from _modules(child)


def _of_rules(policy: Policy, tool: str) -> Iterable[Path]:
    """Yield what rules that deny name as it is. Of wildcards the system knows nothing."""
    for rule in policy.deny:
        if rule.tool != tool or rule.specifier is None:
            continue
        base, pattern = anchored(rule.specifier, policy.root)
        plain = pattern.removesuffix("/**").removesuffix("/*").rstrip("/")
        if plain and not set(plain) & set("*?[\\"):
            yield from _there([base / plain.lstrip("/")])


def _there(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return those that exist, links followed, each once."""
    return tuple(dict.fromkeys(path.resolve() for path in paths if path.exists()))
