"""What a user may call a model."""

from pathlib import Path

import pytest

from apr.models.resolve import ModelNotFound, choose, demo, resolve
from tests.apr.models.written import write


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


def test_the_settings_name_the_model_where_nothing_else_does(tmp_path: Path) -> None:
    path, other = file(tmp_path / "set.gguf"), file(tmp_path / "other.gguf")
    assert resolve(None, {}, setting=str(path)) == path
    assert resolve(None, {"APR_MODEL": str(other)}, setting=str(path)) == other
    assert resolve(str(other), {}, setting=str(path)) == other


def test_a_model_that_was_named_is_not_remarked_upon(tmp_path: Path) -> None:
    choice = choose(str(file(tmp_path / "named.gguf")), {})
    assert (choice.name, choice.notice) == ("named", None)


def test_where_none_is_named_the_best_on_the_disk_is_used_and_that_is_said(home: Path) -> None:
    env = {"HOME": str(home), "APR_HOME": str(home / ".apr")}
    write(home / ".apr/models/other.gguf")
    path = write(home / ".lmstudio/models/q/Qwen2.5-Coder-14B-GGUF/q2.5-Q4_K_M.gguf")
    choice = choose(None, env, home)
    assert choice.path == path
    assert choice.notice == (
        "using q/Qwen2.5-Coder-14B-GGUF:Q4_K_M from LM Studio's models: "
        "the most preferred of 2 models that work"
    )


def test_no_name_and_no_model_says_what_to_do_and_never_takes_the_demo(home: Path) -> None:
    env = {"HOME": str(home), "APR_HOME": str(home / ".apr")}
    with pytest.raises(ModelNotFound) as error:
        resolve(None, env, home)
    for words in ("APR_MODEL", "apr pull qwen3-coder", "--model demo", "--base-url"):
        assert words in str(error.value)
    assert error.value.exit_code == 3
    (home / "models").mkdir()
    (home / "models" / "bad.gguf").write_text("bad")
    with pytest.raises(ModelNotFound, match=r"\(1 broken: apr models --why\)"):
        resolve(None, env, home)


@pytest.mark.parametrize("name", ["/nowhere/x.gguf", "./x.gguf", "~nobody-at-all/x.gguf", "~/x"])
def test_a_path_is_not_looked_for_anywhere_else(name: str, home: Path) -> None:
    env = {"HOME": str(home), "APR_HOME": str(home / ".apr")}
    write(home / ".apr/models/deep/x.gguf")
    with pytest.raises(ModelNotFound) as error:
        resolve(name, env, home)
    assert "on this disk" not in str(error.value)


@pytest.mark.parametrize("name", ["\0", "a\0b.gguf", "x" * 5000, "/" * 5000, "..", "é\udcff"])
def test_no_name_is_too_odd(name: str, home: Path) -> None:
    with pytest.raises(ModelNotFound):
        resolve(name, {"HOME": str(home), "APR_HOME": str(home / ".apr")}, home)


def test_a_missing_model_says_what_was_looked_for_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as error:
        resolve("absent", {"APR_HOME": str(tmp_path / "home"), "HOME": "/nowhere"}, tmp_path)
    message = str(error.value)
    assert "'absent'" in message
    assert str(tmp_path / "home" / "models" / "absent.gguf") in message
    assert str(tmp_path / "models" / "absent") in message
    assert "--base-url" in message


def test_a_directory_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        resolve(str(tmp_path), {})
