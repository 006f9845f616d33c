"""The examples of `docs/export.md`, run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ccpa.exporters.collector import collecting
from tests.ccpa.exporters.reading import ROOT

PAGE = (ROOT / "docs" / "export.md").read_text()
EXAMPLES = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
DOCUMENTED_ENDPOINT = "http://127.0.0.1:4318"


def commands(example: str) -> list[tuple[str, str]]:
    """Return what is typed after each `$`, and what then appears."""
    parts = re.split(r"^\$ ", example, flags=re.MULTILINE)[1:]
    return [(one.partition("\n")[0], one.partition("\n")[2]) for one in parts]


def test_every_format_has_an_example() -> None:
    assert [re.search(r"ccpa export (\w+)", one)[1] for one in EXAMPLES] == ["atif", "otel", "sft"]  # type: ignore[index]


@pytest.mark.parametrize("example", EXAMPLES, ids=["atif", "otel", "sft"])
def test_an_example_prints_what_the_page_shows(example: str, tmp_path: Path) -> None:
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with collecting() as collector:
        for command, expected in commands(example):
            done = subprocess.run(
                ["bash", "-c", command.replace(DOCUMENTED_ENDPOINT, collector.url)],
                cwd=tmp_path,
                env={"PATH": path, "HOME": str(tmp_path)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            shown = done.stdout.replace(collector.url, DOCUMENTED_ENDPOINT)
            assert (shown, done.returncode) == (expected, 0), command
