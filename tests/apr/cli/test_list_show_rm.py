"""`apr list`, `apr show` and `apr rm` as processes."""

import json
import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.apr.engine.processes import end_engines, is_alive
from tests.apr.models.written import write
from tests.apr.program import APR, apr, environment


@pytest.fixture
def models(home: Path) -> Path:
    folder = home / ".apr/models"
    folder.mkdir(parents=True)
    return folder


def test_a_list_says_what_each_model_is_and_where(home: Path, models: Path, tiny: Path) -> None:
    shutil.copy(tiny, models / "coder-F16.gguf")
    (models / "bad.gguf").write_bytes(b"not a model")
    done = apr("list", home=home, cwd=home)
    assert done.returncode == 0
    head, bad, good = done.stdout.splitlines()
    assert head.split() == ["NAME", "SIZE", "QUANTISATION", "ARCHITECTURE", "MODIFIED", "WHERE"]
    assert bad.split()[:4] == ["bad", "11", "bytes", "broken"]
    assert good.startswith("coder-F16")
    assert "qwen3moe" in good
    assert good.endswith("apr's models")
    rows = json.loads(apr("list", "--json", home=home, cwd=home).stdout)
    assert [row["name"] for row in rows] == ["bad", "coder-F16"]
    assert "not a GGUF file" in rows[0]["problem"]
    assert (rows[1]["problem"], rows[1]["size"]) == (None, tiny.stat().st_size)


def test_an_empty_list_says_how_to_fill_it(home: Path) -> None:
    done = apr("list", home=home, cwd=home)
    assert (done.returncode, done.stdout) == (0, "")
    assert "apr pull" in done.stderr
    assert json.loads(apr("list", "--json", home=home, cwd=home).stdout) == []


def test_show_tells_what_a_model_is_and_needs(home: Path) -> None:
    done = apr("show", "demo", home=home, cwd=home)
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if " " in line)
    assert done.returncode == 0
    assert told["architecture"].startswith("qwen3moe")
    assert "2 of 4 experts used" in told["parameters"]
    assert told["context"] == "16,384 tokens"
    assert told["licence"] == "apache-2.0"
    assert "qwen_xml" in done.stdout
    assert "with a context of" in told["memory"]
    data = json.loads(apr("show", "--json", "demo", home=home, cwd=home).stdout)
    assert (data["experts"], data["experts_used"], data["tool_calls"]) == (4, 2, "qwen_xml")
    assert data["memory"]["needed"] > data["size"]
    assert data["problem"] is None


def test_show_names_the_fault_of_a_broken_model(home: Path, models: Path) -> None:
    (models / "bad.gguf").write_bytes(b"GGUF")
    done = apr("show", "bad", home=home, cwd=home)
    assert (done.returncode, done.stdout) == (1, "")
    assert "bad.gguf: cut short, or broken" in done.stderr
    data = apr("show", "--json", "bad", home=home, cwd=home)
    assert data.returncode == 1
    assert "cut short" in json.loads(data.stdout)["problem"]
    assert apr("show", "absent", home=home, cwd=home).returncode == 3


def test_what_a_model_says_of_itself_does_not_drive_the_terminal(home: Path, models: Path) -> None:
    write(models / "odd.gguf", name="a\x1b[2Jb", texts={"general.license": "c\nd\x1b]0;e\x07"})
    for words in (["show", "odd"], ["list"]):
        done = apr(*words, home=home, cwd=home)
        assert done.returncode == 0
        assert "\x1b" not in done.stdout + done.stderr
    assert "licence       c d\\x1b]0;e" in apr("show", "odd", home=home, cwd=home).stdout


def test_rm_wants_a_yes_where_it_cannot_ask(home: Path, models: Path, tiny: Path) -> None:
    path = Path(shutil.copy(tiny, models / "m.gguf"))
    done = apr("rm", "m", home=home, cwd=home)
    assert done.returncode == 2
    assert "add --yes" in done.stderr
    assert path.exists()
    done = apr("rm", "--yes", "--json", "m", home=home, cwd=home)
    assert json.loads(done.stdout) == {
        "name": "m",
        "files": [str(path)],
        "freed": tiny.stat().st_size,
    }
    assert not path.exists()


@pytest.mark.parametrize(("answer", "stays"), [("y\n", False), ("\n", True), ("no\n", True)])
def test_rm_asks_on_a_terminal(
    home: Path, models: Path, tiny: Path, answer: str, stays: bool
) -> None:
    path = Path(shutil.copy(tiny, models / "m.gguf"))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [APR, "rm", "m"],
        cwd=home,
        env=environment(home),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    out, err = process.communicate(timeout=60)
    os.close(ours)
    assert f"{path}\nRemove m (" in err
    assert path.exists() == stays
    assert process.returncode == int(stays)
    assert bool(out) != stays


def test_rm_takes_a_name_or_what_is_unfinished(home: Path, models: Path) -> None:
    part = models / "m.gguf.part"
    part.write_bytes(b"begun")
    assert apr("rm", home=home, cwd=home).returncode == 2
    assert apr("rm", "m", "--unfinished", home=home, cwd=home).returncode == 2
    assert "unfinished downloads have left takes 5 bytes" in apr("list", home=home, cwd=home).stderr
    done = apr("rm", "--unfinished", "--json", home=home, cwd=home)
    assert json.loads(done.stdout) == {"files": [str(part)], "freed": 5}
    assert not part.exists()


def test_a_model_that_an_engine_serves_is_not_removed(
    home: Path, models: Path, tiny: Path, project: Path
) -> None:
    path = Path(shutil.copy(tiny, models / "m.gguf"))
    try:
        apr("code", "--model", "m", "--max-tokens", "1", "-p", "hi", home=home, cwd=project)
        (engine,) = json.loads(apr("engine", "status", "--json", home=home, cwd=home).stdout)
        done = apr("rm", "--yes", "m", home=home, cwd=home)
        assert done.returncode == 2
        assert f"apr engine stop {engine['pid']}" in done.stderr
        assert path.exists()
        assert apr("rm", "--yes", "--force", "m", home=home, cwd=home).returncode == 0
        assert not path.exists()
        assert is_alive(engine["pid"])
    finally:
        apr("engine", "stop", "--all", home=home, cwd=home)
        end_engines(home / ".apr")
