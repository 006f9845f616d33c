"""What a user may call a model."""

from pathlib import Path

import pytest

from apr.models.resolve import ModelNotFound, demo, resolve


def file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_demo_model_comes_with_the_package() -> None:
    assert demo().parent.name == "data"
    assert (demo().parents[1] / "__init__.py").is_file()


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = file(tmp_path / "any name")
    assert resolve(str(path), {}) == path


def test_a_relative_path_counts_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file(tmp_path / "here.gguf")
    monkeypatch.chdir(tmp_path)
    assert resolve("here.gguf", {}, Path("/elsewhere")) == tmp_path / "here.gguf"
    assert resolve("./here.gguf", {}) == tmp_path / "here.gguf"


def test_a_bare_name_is_looked_up_at_home_first_and_then_in_the_project(tmp_path: Path) -> None:
    env = {"APR_HOME": str(tmp_path / "home")}
    in_project = file(tmp_path / "project" / "models" / "coder.gguf")
    assert resolve("coder", env, tmp_path / "project") == in_project
    at_home = file(tmp_path / "home" / "models" / "coder.gguf")
    assert resolve("coder", env, tmp_path / "project") == at_home
    assert resolve("coder.gguf", env, tmp_path / "project") == at_home


def test_a_bare_name_may_have_dots(tmp_path: Path) -> None:
    path = file(tmp_path / "models" / "Qwen2.5-Coder-7B.gguf")
    assert resolve("Qwen2.5-Coder-7B", {}, tmp_path) == path


def test_the_environment_names_the_model_where_the_command_line_does_not(tmp_path: Path) -> None:
    path = file(tmp_path / "chosen.gguf")
    other = file(tmp_path / "other.gguf")
    assert resolve(None, {"APR_MODEL": str(path)}) == path
    assert resolve(str(other), {"APR_MODEL": str(path)}) == other


def test_no_name_at_all_says_how_to_give_one() -> None:
    with pytest.raises(ModelNotFound) as error:
        resolve(None, {})
    assert "APR_MODEL" in str(error.value)
    assert "--model demo" in str(error.value)
    assert error.value.exit_code == 3


def test_a_missing_model_says_what_was_looked_for_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as error:
        resolve("absent", {"APR_HOME": str(tmp_path / "home")}, tmp_path)
    message = str(error.value)
    assert "'absent'" in message
    assert str(tmp_path / "home" / "models" / "absent.gguf") in message
    assert str(tmp_path / "models" / "absent") in message
    assert "--base-url" in message


def test_a_directory_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        resolve(str(tmp_path), {})
