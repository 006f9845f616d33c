"""What the model is told of where it is."""

import os
import subprocess
from pathlib import Path

import pytest

from apr.agent.prompt import Environment, first_prompt, look_around, system_prompt


def test_the_first_message_says_where_we_are_and_then_what_is_asked() -> None:
    environment = Environment(
        directory="/home/ann/calc", date="2026-03-04", platform="linux", branch="main"
    )
    assert first_prompt(environment, "Fix it.") == (
        "<environment>\n"
        "Working directory: /home/ann/calc\n"
        "Date: 2026-03-04\n"
        "Platform: linux\n"
        "Git branch: main\n"
        "</environment>\n"
        "\n"
        "Fix it."
    )


def test_the_system_prompt_is_the_same_everywhere_and_takes_the_users_words_at_its_end() -> None:
    assert system_prompt("Be brief.") == f"{system_prompt()}\n\nBe brief."
    assert system_prompt("Be brief.", replace="You are X.") == "You are X.\n\nBe brief."


def git(*words: str, cwd: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    who = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    subprocess.run(["git", *who, *words], cwd=cwd, env=env, check=True, capture_output=True)


def test_the_branch_is_the_one_that_git_has_checked_out(tmp_path: Path) -> None:
    repository, worktree = tmp_path / "repository", tmp_path / "worktree"
    (repository / "deep" / "down").mkdir(parents=True)
    git("init", "-b", "feature/x", cwd=repository)
    git("commit", "--allow-empty", "-m", "x", cwd=repository)
    git("worktree", "add", "-b", "other", str(worktree), cwd=repository)
    assert look_around(repository).branch == "feature/x"
    assert look_around(repository / "deep" / "down").branch == "feature/x"
    assert look_around(worktree).branch == "other"
    git("checkout", "--detach", cwd=repository)
    assert look_around(repository).branch is None


@pytest.mark.parametrize("head", [b"", b"\xff\xfe", b"ref: refs/heads/\x1b[2J", b"x" * 100_000])
def test_a_hostile_repository_has_no_branch(tmp_path: Path, head: bytes) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_bytes(head)
    assert look_around(tmp_path).branch is None


def test_a_repository_of_pipes_does_not_keep_us_waiting(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    os.mkfifo(tmp_path / ".git" / "HEAD")
    assert look_around(tmp_path).branch is None
