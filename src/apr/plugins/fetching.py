"""Marketplaces and plugins from elsewhere: cloned by git, and never run while that is done."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apr.home import beside, private_directory
from apr.plugins import known, manifest
from apr.plugins.enabled import fetched
from apr.plugins.known import Known
from apr.plugins.manifest import PluginError
from apr.settings import Settings

_GITHUB = re.compile(r"[\w.-]+/[\w.-]+")
_TIMEOUT_S = 300
# Helpers that a URL can name (`ext::sh -c …`) are commands.
_SAFE = ("-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null")


def source_of(given: str, root: Path) -> dict[str, Any]:
    """Return the source that a user means: a folder, a git URL, or `owner/repo` on GitHub.

    Raises:
        PluginError: it is none of these.
    """
    folder = (root / Path(given).expanduser()).resolve()
    if folder.is_dir():
        return {"source": "directory", "path": str(folder)}
    if re.match(r"(https?|ssh|git|file)://|[\w.-]+@[\w.-]+:", given):
        return {"source": "git", "url": given}
    if _GITHUB.fullmatch(given):
        return {"source": "github", "repo": given}
    raise PluginError(f"{given!r} is no folder, git URL or owner/repo")


def add_marketplace(
    root: Path, env: Mapping[str, str], settings: Settings, source: dict[str, Any]
) -> Known:
    """Fetch a marketplace, where it is not on this disk, and put it on the user's list.

    Raises:
        PluginError: it cannot be fetched, is none, or the organisation does not allow it.
    """
    if source["source"] == "directory":
        folder = Path(source["path"])
        name = manifest.check_name(manifest.marketplace(folder).name)
    else:
        room = private_directory(known.folder_of(env)) / "marketplaces"
        room.mkdir(exist_ok=True)
        fresh = beside(room / "new")
        _clone(source, fresh)
        try:
            name = manifest.check_name(manifest.marketplace(fresh).name)
            folder = room / name
            _put(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    known.remember(env, name, source, folder)
    one = known.known(root, env, settings).get(name)
    if one is None:
        known.forget(env, name)
        raise PluginError(f"the organisation's policy does not allow the marketplace {name}")
    return one


def fetch_plugin(env: Mapping[str, str], market: Known, name: str) -> None:
    """Fetch a plugin that is not in its marketplace's own folder.

    Raises:
        PluginError: it is not offered, or cannot be fetched.
    """
    if market.folder is None:
        raise PluginError(f"the marketplace {market.name} is not fetched")
    offer = manifest.marketplace(market.folder).offer(name)
    if offer is None:
        offered = ", ".join(o.name for o in manifest.marketplace(market.folder).plugins) or "none"
        raise PluginError(f"{market.name} does not offer {name!r}. It offers: {offered}")
    if isinstance(offer.source, str):
        return
    folder = fetched(env, name, market.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = beside(folder)
    _clone(offer.source, fresh)
    try:
        part = offer.source.get("path")
        _put(manifest.within(fresh, part) if isinstance(part, str) else fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def url_of(source: Mapping[str, Any]) -> str:
    """Return what git is to clone.

    Raises:
        PluginError: the source is of a kind that cannot be fetched.
    """
    kind = source.get("source")
    if kind == "github" and isinstance(repo := source.get("repo"), str) and _GITHUB.fullmatch(repo):
        return f"https://github.com/{repo}.git"
    url = source.get("url")
    if kind in {"git", "url", "git-subdir"} and isinstance(url, str):
        return url if "://" in url or not _GITHUB.fullmatch(url) else f"https://github.com/{url}"
    raise PluginError(f"a source of kind {kind!r} cannot be fetched; use git, github or directory")


def _clone(source: Mapping[str, Any], folder: Path) -> None:
    """Clone what a source names; where it names a commit, that and no other.

    Raises:
        PluginError: git fails; nothing is left behind.
    """
    url, ref, commit = url_of(source), source.get("ref"), source.get("sha")
    options = ["--depth=1"] if commit is None else ["--no-checkout"]
    if isinstance(ref, str):
        options.append(f"--branch={ref}")
    _git(url, folder, "clone", "--quiet", *options, "--", url, str(folder))
    if commit is not None:
        if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{7,64}", commit):
            shutil.rmtree(folder, ignore_errors=True)
            raise PluginError(f"{url}: {commit!r} is no commit")
        _git(url, folder, "-C", str(folder), "checkout", "--quiet", "--detach", commit)


def _git(url: str, folder: Path, *words: str) -> None:
    try:
        done = subprocess.run(
            ["git", *_SAFE, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
    except FileNotFoundError:
        raise PluginError("git is not installed") from None
    except subprocess.TimeoutExpired:
        shutil.rmtree(folder, ignore_errors=True)
        raise PluginError(f"{url} was not cloned within {_TIMEOUT_S} s") from None
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise PluginError(f"{url} cannot be cloned: {done.stderr.strip()}")


def _put(fresh: Path, folder: Path) -> None:
    """Put a new folder in the place of an old one."""
    old = beside(folder)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
