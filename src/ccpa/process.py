"""Running a fixture's shell commands: a clean environment, a time limit, no orphans."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from ccpa.errors import CcpaError

OUTPUT_LIMIT = 1 << 20
"""Bytes of output that are kept; what comes after is dropped."""

_COMMIT_TIME = "2026-01-01T00:00:00Z"


class Finished(Struct, frozen=True, kw_only=True):
    """What a command came to. `exit_code` is None if time ran out; a signal counts as 128 + n."""

    exit_code: int | None
    output: str


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment in which a command behaves alike on every machine.

    `PATH` is the caller's own; everything else is fixed: home, time zone, language, and git's
    identity, times and configuration, so that commits have the same ids everywhere.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Fixture",
        "GIT_AUTHOR_EMAIL": "fixture@example.com",
        "GIT_AUTHOR_DATE": _COMMIT_TIME,
        "GIT_COMMITTER_NAME": "Fixture",
        "GIT_COMMITTER_EMAIL": "fixture@example.com",
        "GIT_COMMITTER_DATE": _COMMIT_TIME,
    }


def run_shell(
    command: str,
    *,
    cwd: Path,
    environment: dict[str, str],
    timeout_s: float,
    stdin: bytes = b"",
) -> Finished:
    """Run a bash command to its end, stdout and stderr merged, and kill what it leaves running.

    Raises:
        CcpaError: there is no bash, or `cwd` is no directory.
    """
    bash = shutil.which("bash", path=environment["PATH"])
    if bash is None:
        raise CcpaError("bash was not found on PATH; fixtures' commands need it: install bash")
    if not cwd.is_dir():
        raise CcpaError(f"{cwd}: no such directory to run a fixture's command in")
    # Files, not pipes: a background process that keeps its end open would keep us waiting.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            [bash, "-c", command],
            cwd=cwd,
            env=environment,
            stdin=given,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status: int | None = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _kill_group(process)
        output.seek(0)
        text = output.read(OUTPUT_LIMIT).decode("utf-8", "replace")
    if status is not None and status < 0:
        status = 128 - status
    return Finished(exit_code=status, output=text)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the latter is macOS's word for zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
