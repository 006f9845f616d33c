"""The worked examples of docs/import.md do what the page shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ccpa.importers import FORMATS

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "import.md").read_text()
EXAMPLES = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.split()[3])
def test_an_example_shows_what_its_commands_print(example: str, tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(DOCS)
    ccpa = tmp_path / "bin" / "ccpa"
    ccpa.parent.mkdir()
    ccpa.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ccpa.cli.main "$@"\n')
    ccpa.chmod(0o755)
    environment = os.environ | {"PATH": f"{ccpa.parent}{os.pathsep}{os.environ['PATH']}"}
    for shown in re.split(r"^\$ ", example, flags=re.MULTILINE)[1:]:
        command, _, printed = shown.partition("\n")
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.stdout + done.stderr == printed
        assert done.returncode == 0


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_a_section_with_an_example(form: str) -> None:
    section = PAGE.partition(f"\n## {form}\n")[2].partition("\n## ")[0]
    assert f"$ ccpa import {form} " in section
