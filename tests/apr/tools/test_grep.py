import os
from pathlib import Path
from typing import Any

import pytest

from apr.tools.base import Context
from apr.tools.errors import ToolError
from apr.tools.grep import Grep, GrepInput
from tests.apr.tools.conftest import Call


@pytest.fixture(autouse=True)
def sources(root: Path) -> None:
    (root / "src").mkdir()
    (root / "src" / "b.py").write_text("import os\n\ndef run(x):\n    return x\n# RUN\n")
    (root / "a.py").write_text("run(1)\nrun(2)\n")
    (root / "notes.md").write_text("How to run it.\n")


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({"pattern": "run"}, "a.py\nnotes.md\nsrc/b.py"),
        ({"pattern": "run", "glob": "*.py"}, "a.py\nsrc/b.py"),
        ({"pattern": "run", "type": "md"}, "notes.md"),
        ({"pattern": "run", "path": "src"}, "src/b.py"),
        ({"pattern": "run", "output_mode": "count"}, "a.py:2\nnotes.md:1\nsrc/b.py:1"),
        ({"pattern": "def", "output_mode": "content"}, "src/b.py:3:def run(x):"),
        ({"pattern": "def", "output_mode": "content", "-n": "false"}, "src/b.py:def run(x):"),
        (
            {"pattern": "def", "output_mode": "content", "path": "src/b.py"},
            "src/b.py:3:def run(x):",
        ),
        (
            {"pattern": "def", "output_mode": "content", "-A": 1, "-B": 1},
            "src/b.py-2-\nsrc/b.py:3:def run(x):\nsrc/b.py-4-    return x",
        ),
        (
            {"pattern": "return", "output_mode": "content", "-C": 1},
            "src/b.py-3-def run(x):\nsrc/b.py:4:    return x\nsrc/b.py-5-# RUN",
        ),
        (
            {"pattern": "RUN", "output_mode": "content", "-i": True, "-o": True, "path": "src"},
            "src/b.py:3:run\nsrc/b.py:5:RUN",
        ),
        (
            {"pattern": r"x\):.*return", "output_mode": "content", "multiline": True},
            "src/b.py:3:def run(x):\nsrc/b.py:4:    return x",
        ),
        (
            {"pattern": "run", "output_mode": "content", "head_limit": 1},
            "a.py:1:run(1)\n[there are more: set offset to 1, or use a narrower pattern or path]",
        ),
        (
            {"pattern": r"run\(", "output_mode": "content", "head_limit": 2, "offset": 1},
            "a.py:2:run(2)\nsrc/b.py:3:def run(x):",
        ),
        ({"pattern": "run", "offset": 9}, "[no matches after the offset]"),
        ({"pattern": "nowhere"}, "[no matches]"),
        ({"pattern": "-n"}, "[no matches]"),
        ({"pattern": "--help"}, "[no matches]"),
    ],
)
async def test_the_inputs_mean_what_they_mean_to_ripgrep(
    call: Call, fields: dict[str, Any], content: str
) -> None:
    outcome = await call("Grep", fields)
    assert outcome.content == content
    assert outcome.ok


async def test_head_limit_zero_is_no_limit(root: Path, call: Call) -> None:
    (root / "long").write_text("line\n" * 300)
    fields = {"pattern": "line", "path": "long", "output_mode": "content"}
    assert (await call("Grep", fields)).content.count("long:") == 250
    assert (await call("Grep", fields, head_limit=0)).content.count("long:") == 300


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pattern": "run("}, r"regex parse error:[\s\S]*unclosed group"),
        ({"pattern": "x", "type": "nosuch"}, "unrecognized file type: nosuch"),
        ({"pattern": "x", "glob": "{"}, "error parsing glob"),
        ({"pattern": "a\nb"}, "multiline"),
        ({"pattern": "x", "path": "scr"}, "scr does not exist. Did you mean src"),
    ],
)
async def test_what_ripgrep_refuses_is_refused_in_its_words(
    call: Call, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ToolError, match=message):
        await call("Grep", fields)


async def test_ignored_files_are_not_searched(root: Path, call: Call) -> None:
    (root / ".gitignore").write_text("src/\n")
    (root / ".git").mkdir()
    (root / ".git" / "x").write_text("run")
    assert (await call("Grep", pattern="run")).content == "a.py\nnotes.md"
    assert (await call("Grep", pattern="run", glob="**/*")).content == "a.py\nnotes.md"


async def test_links_lead_nowhere(root: Path, call: Call, context: Context) -> None:
    (root.parent / "secret").write_text("run")
    (root / "link").symlink_to(root.parent)
    assert (await call("Grep", pattern="run")).content == "a.py\nnotes.md\nsrc/b.py"
    given = GrepInput(pattern="run", path="link/secret")
    assert Grep().access(given, context).paths == (root.parent / "secret",)


async def test_a_pipe_is_not_waited_for(root: Path, call: Call) -> None:
    os.mkfifo(root / "pipe")
    assert "pipe" not in (await call("Grep", pattern="")).content
    with pytest.raises(ToolError, match="pipe is a named pipe"):
        await call("Grep", pattern="x", path="pipe")


async def test_long_lines_and_long_results_are_cut(root: Path, call: Call) -> None:
    (root / "wide").write_text("x" * 10_000_000 + "\n")
    fields = {"pattern": "x", "path": "wide", "output_mode": "content"}
    outcome = await call("Grep", fields)
    assert len(outcome.content) < 600
    (root / "wide").write_text(("x" * 400 + "\n") * 200)
    outcome = await call("Grep", fields)
    assert outcome.truncated
    assert "characters cut ...]" in outcome.content
    assert outcome.full_sha256 is not None


async def test_other_encodings_and_binary_files_are_survived(root: Path, call: Call) -> None:
    (root / "latin").write_bytes(b"run caf\xe9\n")
    (root / "binary").write_bytes(b"run\nrun\0\n")
    (root / "utf16").write_text("run it\n", encoding="utf-16")
    fields = {"pattern": "run", "output_mode": "content", "glob": "{latin,binary,utf16}"}
    content = (await call("Grep", fields)).content
    assert "binary" not in content
    content += (await call("Grep", fields, path="binary")).content
    assert "latin:1:run caf\N{REPLACEMENT CHARACTER}" in content
    assert "binary: binary file matches" in content
    assert "utf16:1:run it" in content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_what_could_not_be_read_is_said(root: Path, call: Call) -> None:
    (root / "closed").touch(mode=0)
    content = (await call("Grep", pattern="def")).content
    assert content == "src/b.py\n[some files could not be read]"
