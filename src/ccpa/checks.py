"""Running a fixture's checks on an outcome: the final workspace and the agent's last words."""

import re
import tempfile
from pathlib import Path

from msgspec import Struct

from ccpa.fixtures import Check, Fixture
from ccpa.process import clean_environment, run_shell

_DETAIL_LIMIT = 2000


class CheckResult(Struct, frozen=True, kw_only=True):
    """What one check came to; `detail` says what was found where it did not pass."""

    check: Check
    passed: bool
    detail: str = ""


def run_checks(fixture: Fixture, workspace: Path, final_text: str) -> list[CheckResult]:
    """Run all checks of `fixture` on `workspace` as it now is. Commands may write in it.

    Raises:
        CcpaError: `workspace` is no directory, or there is no bash.
    """
    return [_run(check, fixture, workspace.resolve(), final_text) for check in fixture.checks]


def _run(check: Check, fixture: Fixture, workspace: Path, final_text: str) -> CheckResult:
    if check.command is not None:
        return _run_command(check, check.command, fixture, workspace)
    if check.final_text is not None:
        passed = re.search(check.final_text, final_text) is not None
        detail = f"last words: {final_text}"
    else:
        passed, detail = _search_file(workspace, check.file or "", check.pattern)
    return CheckResult(check=check, passed=passed, detail="" if passed else detail[:_DETAIL_LIMIT])


def _run_command(check: Check, command: str, fixture: Fixture, workspace: Path) -> CheckResult:
    with tempfile.TemporaryDirectory(prefix="ccpa-check-") as home:
        environment = clean_environment(Path(home))
        environment["CHECKS"] = str((fixture.directory / "checks").resolve())
        done = run_shell(command, cwd=workspace, environment=environment, timeout_s=check.timeout_s)
    if done.exit_code is None:
        return CheckResult(
            check=check, passed=False, detail=f"not finished after {check.timeout_s:g} s"
        )
    passed = done.exit_code == 0
    detail = f"exit {done.exit_code}\n{done.output[-_DETAIL_LIMIT:]}"
    return CheckResult(check=check, passed=passed, detail="" if passed else detail)


def _search_file(workspace: Path, file: str, pattern: str | None) -> tuple[bool, str]:
    path = (workspace / file).resolve()
    if not path.is_relative_to(workspace):
        return False, f"{file} leads out of the workspace"
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        return False, f"{file}: {error.strerror}"
    if pattern is None or re.search(pattern, text, re.MULTILINE):
        return True, ""
    return False, f"{pattern!r} is not in {file}"
