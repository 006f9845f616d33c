"""The example of docs/record.md does what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path("docs/record.md")


def test_the_example_runs_as_it_is_printed(tmp_path: Path) -> None:
    text = PAGE.read_text()
    (script,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    (tmp_path / "fixtures").symlink_to(Path("fixtures").resolve())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
    said = done.stdout.splitlines()
    assert [line for line in shown.splitlines() if line not in said] == []
