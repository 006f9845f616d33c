"""`ccpa completion`: the scripts, in shells. `apr`'s own are tested more closely."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa.cli.main import COMMANDS

CCPA = str(Path(sys.executable).parent / "ccpa")
IN_BASH = """
source "$1"
read -ra COMP_WORDS <<<"$2"
[[ $2 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shtab_ccpa
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_read_its_script(shell: str, tmp_path: Path) -> None:
    ran = subprocess.run([CCPA, "completion", shell], capture_output=True, text=True, check=True)
    (tmp_path / "script").write_text(ran.stdout)
    assert ran.stderr == ""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", tmp_path / "script"], check=True)


def test_bash_completes_commands_options_and_files(tmp_path: Path) -> None:
    ran = subprocess.run([CCPA, "completion", "bash"], capture_output=True, text=True, check=True)
    (tmp_path / "script").write_text(ran.stdout)
    (tmp_path / "teacher.jsonl").write_text("")

    def ask(line: str) -> list[str]:
        words = ["bash", "--norc", "-c", IN_BASH, "bash", "./script", line]
        ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
        return ran.stdout.split()

    assert set(ask("ccpa ")) >= set(COMMANDS)
    assert "--scoring" in ask("ccpa diff --sc")
    assert ask("ccpa diff teach") == ["teacher.jsonl"]
