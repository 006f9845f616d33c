"""`apr engine` as a person and a program use it."""

import json
from pathlib import Path

import pytest

from apr.cli.main import main
from apr.engine.client import Endpoint, attach
from tests.apr.engine.processes import is_alive, serve


@pytest.fixture
async def one(tiny: Path) -> Endpoint:
    return await attach(tiny)


@pytest.fixture
async def other(tiny: Path, tmp_path: Path) -> Endpoint:
    model = tmp_path / "other.gguf"
    model.write_bytes(tiny.read_bytes())
    return await attach(model)


def test_status_lists_what_runs(
    one: Endpoint, other: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "status"]) == 0
    output = capsys.readouterr().out
    for endpoint in (one, other):
        assert f"{endpoint.pid}  {endpoint.model_name}  4,096 tokens" in output
        assert endpoint.base_url in output
        assert endpoint.api_key not in output


def test_status_as_json(one: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "status", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["pid"] == one.pid
    assert row["base_url"] == one.base_url
    assert row["keep_alive"] == 600.0
    assert row["engine"].startswith("xllamacpp ")
    assert one.api_key not in row.values()


def test_status_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "status"]) == 0
    assert capsys.readouterr() == ("", "No engine runs.\n")
    assert main(["engine", "status", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_stop_ends_the_only_engine(one: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "stop", "--json"]) == 0
    assert [row["pid"] for row in json.loads(capsys.readouterr().out)] == [one.pid]
    assert not is_alive(one.pid)


def test_stop_does_not_guess_which_engine_is_meant(
    one: Endpoint, other: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "stop"]) == 1
    assert "name one, or use --all" in capsys.readouterr().err
    assert is_alive(one.pid)
    assert is_alive(other.pid)


def test_stop_ends_the_engine_of_a_model(one: Endpoint, other: Endpoint) -> None:
    assert main(["engine", "stop", "other"]) == 0
    assert is_alive(one.pid)
    assert not is_alive(other.pid)
    assert main(["engine", "stop", str(one.pid)]) == 0
    assert not is_alive(one.pid)


def test_stop_ends_all(one: Endpoint, other: Endpoint, folder: Path) -> None:
    assert main(["engine", "stop", "--all"]) == 0
    assert not is_alive(one.pid)
    assert not is_alive(other.pid)
    assert not list(folder.glob("*.json"))


def test_stop_of_a_model_that_is_not_served(
    one: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "stop", "absent"]) == 1
    assert "No engine runs for absent" in capsys.readouterr().err
    assert is_alive(one.pid)


def test_stop_where_nothing_runs_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "stop", "--all"]) == 0
    assert capsys.readouterr().out == ""


def test_serve_without_a_model_says_what_to_do() -> None:
    engine = serve("--model", "absent")
    output, _ = engine.communicate()
    assert engine.returncode == 3
    assert "No model 'absent'" in output
    assert "--model demo" in output


@pytest.mark.parametrize("option", ["--ctx", "--slots", "--threads"])
def test_serve_refuses_sizes_below_one(option: str) -> None:
    engine = serve("--model", "demo", option, "0")
    output, _ = engine.communicate()
    assert engine.returncode == 2
    assert f"argument {option}: '0' is not a whole number above zero" in output


def test_serve_for_one_process_must_be_told_which() -> None:
    engine = serve("--model", "demo", "--private")
    output, _ = engine.communicate()
    assert (engine.returncode, output) == (2, "apr: --private goes with --parent-pid\n")
