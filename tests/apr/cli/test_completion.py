"""`apr completion`: the scripts, in the shells that they are for."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from apr.cli.main import COMMANDS
from tests.apr.program import apr, environment

SESSION = "0192d3a4-0000-7000-8000-000000000000"
Complete = Callable[[str], list[str]]

IN_BASH = """
source "$1"
read -ra COMP_WORDS <<<"$2"
[[ $2 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shtab_apr
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    for shell in ("bash", "zsh", "fish"):
        ran = apr("completion", shell, home=folder, cwd=folder)
        assert (ran.returncode, ran.stderr) == (0, "")
        (folder / f"apr.{shell}").write_text(ran.stdout)
    return folder


@pytest.fixture
def models(home: Path, tiny: Path) -> Path:
    """A home with two models, the name of one of which is an attempt."""
    folder = home / ".apr/models"
    folder.mkdir(parents=True)
    shutil.copy(tiny, folder / "quite-tiny.gguf")
    shutil.copy(tiny, folder / "$(touch owned).gguf")
    return home


@pytest.fixture(params=["bash", "fish"])
def complete(
    request: pytest.FixtureRequest, scripts: Path, models: Path, project: Path
) -> Complete:
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = str(scripts / f"apr.{shell}")

    def ask(line: str) -> list[str]:
        if shell == "bash":
            words = ["bash", "--norc", "-c", IN_BASH, "bash", script, line]
        else:
            words = ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"]
        ran = subprocess.run(
            words, cwd=project, env=environment(models), capture_output=True, text=True, check=True
        )
        assert ran.stderr == ""
        return [found.partition("\t")[0] for found in ran.stdout.splitlines() if found]

    return ask


def test_commands(complete: Complete) -> None:
    assert set(complete("apr ")) >= set(COMMANDS)
    assert complete("apr comp") == ["completion"]


def test_options_and_what_they_take(complete: Complete) -> None:
    assert "--permission-mode" in complete("apr code --perm")
    assert "acceptEdits" in complete("apr code --permission-mode ")
    assert "stream-json" in complete("apr code --model x --output-format ")


def test_commands_of_commands(complete: Complete) -> None:
    assert set(complete("apr engine ")) >= {"serve", "status", "stop"}
    assert "--json" in complete("apr config get --")


def test_models_and_none_that_a_shell_would_run(complete: Complete, project: Path) -> None:
    assert complete("apr show q") == ["quite-tiny"]
    assert set(complete("apr code --model ")) == {"demo", "quite-tiny"}
    assert not (project / "owned").exists()


def test_keys_of_settings(complete: Complete) -> None:
    assert complete("apr config get sandbox.ena") != []


def test_files_and_directories(complete: Complete, project: Path) -> None:
    assert "README.md" in complete("apr code --mcp-config READ")
    assert [one.rstrip("/") for one in complete("apr code -C sr")] == ["src"]


def test_sessions_of_the_project(complete: Complete, models: Path, project: Path) -> None:
    url = "http://127.0.0.1:9"
    ran = apr(
        *("code", "--base-url", url, "--model", "m", "--session-id", SESSION, "hi"),
        home=models,
        cwd=project,
    )
    assert ran.returncode == 1
    assert complete("apr sessions show ") == [SESSION]


def test_zsh(scripts: Path, models: Path, project: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    subprocess.run(["zsh", "-n", scripts / "apr.zsh"], check=True)
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(project)
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**environment(models), "TERM": "dumb"})
    shell = _Zsh(master)
    (models / "_apr").write_text((scripts / "apr.zsh").read_text())
    try:
        # Where that can be told, only what completion itself needs is loaded, of a thousand files.
        shell.type("few=(${(M)fpath:#*/Completion(|/Base|/Zsh)}); (( $#few )) && fpath=($few)\n")
        shell.type("fpath+=~\n")
        shell.type("autoload -Uz compinit; compinit -u -D; echo so' 'far\n")
        shell.until("so far")
        shell.type("apr compl\t")
        shell.until("apr completion ")
        shell.type("\x15apr code --model qui\t")
        shell.until("--model quite-tiny")
        shell.type("\x15apr code --permission-mode acc\t")
        shell.until("--permission-mode acceptEdits")
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(master)


class _Zsh:
    """What is typed into a shell, and what it shows."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._shown = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, text: str) -> None:
        deadline = time.monotonic() + 40
        while text not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x07\r]", "", self._shown):
            assert time.monotonic() < deadline, f"no {text!r} in {self._shown!r}"
            if select.select([self._master], [], [], 0.05)[0]:
                self._shown += os.read(self._master, 1 << 16).decode(errors="replace")


def test_names_are_printed_for_the_scripts(models: Path, project: Path) -> None:
    ran = apr("completion", "--names", "models", home=models, cwd=project)
    assert (ran.returncode, ran.stdout) == (0, "demo\nquite-tiny\n")
    ran = apr("completion", "--names", "settings", home=models, cwd=project)
    assert "permissions.defaultMode" in ran.stdout.splitlines()


def test_a_shell_must_be_named(home: Path, project: Path) -> None:
    assert apr("completion", home=home, cwd=project).returncode == 2
    assert apr("completion", "csh", home=home, cwd=project).returncode == 2
