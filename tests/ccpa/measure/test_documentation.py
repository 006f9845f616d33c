"""The worked examples of docs/measure.md do what the page shows, times and token counts aside."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "measure.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
VARYING = re.compile(
    r"[\d.]+ s of agents; [\d,]+ tokens sent, [\d,]+ of them evaluated, [\d,]+ generated"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a directory for all examples, one after another, as a reader would try them."""
    place = tmp_path_factory.mktemp("examples")
    (place / "fixtures").symlink_to(ROOT / "fixtures")
    ccpa = place / "bin" / "ccpa"
    ccpa.parent.mkdir()
    ccpa.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ccpa.cli.main "$@"\n')
    ccpa.chmod(0o755)
    yield place
    stop = [sys.executable, "-m", "apr", "engine", "stop", "--all"]
    subprocess.run(stop, env=environment(place), check=True, capture_output=True)


def environment(place: Path) -> dict[str, str]:
    path = [str(place / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {**os.environ, "PATH": os.pathsep.join(path), "APR_HOME": str(place / "home")}


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_shows_what_its_commands_print(example: str, place: Path) -> None:
    for shown in re.split(r"^\$ ", example, flags=re.MULTILINE)[1:]:
        command, _, printed = shown.partition("\n")
        done = subprocess.run(
            command,
            shell=True,
            cwd=place,
            env=environment(place),
            capture_output=True,
            text=True,
        )
        assert VARYING.sub("…", done.stdout + done.stderr) == VARYING.sub("…", printed)
