"""`apr models`, as a user runs it; and what `apr code` says of the model that it chose."""

import json
from pathlib import Path

from tests.apr.models.test_discovery import put_on_hub
from tests.apr.models.written import write
from tests.apr.program import apr

CODER = "unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF"


def furnish(home: Path) -> None:
    """Put three models on the disk: a preferred one, another, and one that is broken."""
    put_on_hub(home, CODER, "Qwen3-Coder-30B-A3B-Instruct-Q4_K_M.gguf")
    whole = write(home / ".apr/models/other.gguf").read_bytes()
    (home / ".apr/models/cut.gguf").write_bytes(whole[:-1])
    write(home / ".apr/models/mmproj.gguf", "clip")


def test_models_are_listed_the_best_first(home: Path, project: Path) -> None:
    furnish(home)
    done = apr("models", home=home, cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:4] == ["*", "1", f"{CODER}:Q4_K_M", "F32"]
    assert lines[1][:2] == ["2", "other"]
    assert lines[2][:3] == ["3", "cut", "broken"]


def test_why_gives_each_its_reason_and_says_where_was_looked(home: Path, project: Path) -> None:
    furnish(home)
    (home / ".apr/models/\x1b[31mred.gguf").write_text("\x1b[0m")
    done = apr("models", "--why", home=home, cwd=project)
    assert done.returncode == 0
    for words in (
        "preferred as qwen3-coder-30b-a3b; fits in memory; changed 20",
        "broken: cut short, or broken: the tensor 'blk.0.ffn_down.weight' ends 1 bytes past",
        "mmproj: is a 'clip' model, which sees or hears for another model",
        f"{home}/.cache/huggingface/hub: 1 found",
        f"{home}/.ollama/models: not there",
        r"\x1b[31mred",
    ):
        assert words in done.stdout
    assert "\x1b" not in done.stdout


def test_programs_get_all_of_it_as_json(home: Path, project: Path) -> None:
    furnish(home)
    told = json.loads(apr("models", "--json", home=home, cwd=project).stdout)
    first, second, third = told["models"]
    assert first["name"] == f"{CODER}:Q4_K_M"
    assert (first["chosen"], first["fits"], first["problem"]) == (True, True, None)
    assert first["preferred"] == "qwen3-coder-30b-a3b"
    assert (second["chosen"], second["preferred"]) == (False, None)
    assert third["problem"].startswith("cut short")
    assert told["others"][0]["path"] == f"{home}/.apr/models/mmproj.gguf"
    assert {"label", "path", "there", "count", "trouble"} == set(told["places"][0])


def test_no_models_at_all_is_an_exit_code_and_advice(home: Path, project: Path) -> None:
    done = apr("models", home=home, cwd=project)
    assert (done.returncode, done.stdout) == (3, "")
    assert "apr pull qwen3-coder" in done.stderr
    assert "--model demo" in done.stderr
    assert json.loads(apr("models", "--json", home=home, cwd=project).stdout)["models"] == []


def test_the_model_that_was_chosen_is_named_with_the_reason(
    home: Path, project: Path, tiny: Path
) -> None:
    (home / ".apr/models").mkdir(parents=True)
    (home / ".apr/models/mine.gguf").write_bytes(tiny.read_bytes())
    words = ("code", "--keep-alive", "1s", "--max-tokens", "1", "-C", project)
    done = apr(*words, "hello", home=home, cwd=home)
    notice = "apr: using mine from apr's models: the only model that works"
    assert done.stderr.splitlines()[0] == notice
    assert notice not in apr(*words, "--model", "mine", "hello", home=home, cwd=home).stderr


def test_without_a_model_the_agent_says_how_to_get_one(home: Path, project: Path) -> None:
    done = apr("code", "hello", home=home, cwd=project)
    assert done.returncode == 3
    assert "apr pull qwen3-coder" in done.stderr
