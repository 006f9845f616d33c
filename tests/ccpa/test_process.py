from pathlib import Path

import pytest

from ccpa.errors import CcpaError
from ccpa.process import OUTPUT_LIMIT, Finished, clean_environment, run_shell


def run(command: str, tmp_path: Path, *, stdin: bytes = b"") -> Finished:
    return run_shell(
        command,
        cwd=tmp_path,
        environment=clean_environment(tmp_path),
        timeout_s=30,
        stdin=stdin,
    )


def test_output_is_merged_and_the_exit_code_kept(tmp_path: Path) -> None:
    done = run("echo out; echo err >&2; exit 4", tmp_path)
    assert done == Finished(exit_code=4, output="out\nerr\n")


def test_a_command_reads_what_it_is_given_and_no_more(tmp_path: Path) -> None:
    assert run("cat", tmp_path, stdin=b"given").output == "given"
    assert run("cat", tmp_path).output == ""


def test_a_signal_counts_as_in_the_shell(tmp_path: Path) -> None:
    assert run("kill -TERM $$", tmp_path).exit_code == 143


def test_endless_output_is_cut(tmp_path: Path) -> None:
    done = run(f"head -c {OUTPUT_LIMIT * 2} /dev/zero | tr '\\0' x", tmp_path)
    assert len(done.output) == OUTPUT_LIMIT


def test_nothing_of_the_callers_environment_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    assert "secret" not in run("env", tmp_path).output


def test_without_a_directory_or_a_shell_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CcpaError, match="no such directory"):
        run("true", tmp_path / "missing")
    environment = clean_environment(tmp_path) | {"PATH": "/nonexistent"}
    with pytest.raises(CcpaError, match="bash was not found"):
        run_shell("true", cwd=tmp_path, environment=environment, timeout_s=1)
