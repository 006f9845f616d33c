"""The prompts of a project: kept for later, whole, and by several sessions at once."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.sessions.places import folder
from apr.terminal.chips import Chips, Pasted, Picture
from apr.terminal.history import GONE, PromptHistory
from tests.apr.program import says
from tests.apr.terminal.conftest import Begin


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("APR_HOME", str(tmp_path / "home"))
    return tmp_path


def history(root: Path, chips: Chips | None = None) -> PromptHistory:
    return PromptHistory(root, chips or Chips(), pytest.fail)


def kept(root: Path) -> Path:
    return folder(root) / "history"


def test_prompts_come_back_the_last_first_and_are_nobody_elses(root: Path) -> None:
    for prompt in ("one", "two\nlines", "drei\x1b[2J é"):
        history(root).store_string(prompt)
    assert list(history(root).load_history_strings()) == ["drei\x1b[2J é", "two\nlines", "one"]
    assert list(history(root / "elsewhere").load_history_strings()) == []
    history(root / "a" / "b").store_string("of a/b")
    assert list(history(root / "a-b").load_history_strings()) == []  # in the same folder
    assert stat.S_IMODE(kept(root).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept(root).parent.stat().st_mode) == 0o700


def test_what_was_pasted_comes_back_whole(root: Path) -> None:
    chips = Chips()
    text = chips.add(Pasted(lines=2, characters=7, content="one\ntwo"))
    picture = chips.add(Picture(media_type="image/png", content=b"\x89PNG"))
    history(root, chips).store_string(f"see {text} and {picture}!")
    others = Chips()
    (line,) = history(root, others).load_history_strings()
    assert others.labelled(line) == "see [Pasted text #1 +2 lines] and [Image #1]!"
    assert others.prompt(line).text == "see one\ntwo and [Image #1]!"
    history(root, others).store_string(line)  # used again, it is kept again
    assert len(list(history(root).load_history_strings())) == 2


def test_what_was_pasted_long_ago_goes(root: Path) -> None:
    chips = Chips()
    line = chips.add(Pasted(lines=1, characters=3, content="abc"))
    history(root, chips).store_string(f"see {line}")
    history(root).forget(30)
    assert list(history(root, chips).load_history_strings()) != [f"see {GONE}"]
    (pasted,) = (kept(root).parent / "pasted").iterdir()
    os.utime(pasted, (0, 0))
    history(root).forget(30)
    assert list(history(root).load_history_strings()) == [f"see {GONE}"]


def test_lines_that_are_none_are_passed_over(root: Path) -> None:
    history(root).store_string("one")
    whole = kept(root).read_bytes()
    kept(root).write_bytes(
        whole
        + b'{"project":"x","line":["cut sho'
        + b'\xff\n{"line":[{"kind":"text","file":"../../x"}]}\n[]'
    )
    history(root).store_string("two")
    assert list(history(root).load_history_strings()) == ["two", "one"]


@given(text=st.text(min_size=1))
def test_any_text_can_be_kept(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("root")
        patch.setenv("APR_HOME", str(root / "home"))
        history(root).store_string(text)
        (line,) = history(root).load_history_strings()
        assert len(line) == len(text)


def test_only_the_end_of_a_long_history_is_read(root: Path) -> None:
    history(root).store_string("first")
    with kept(root).open("ab") as file:
        file.write(b'{"project":"%s","line":["%s"]}\n' % (bytes(root), b"x" * 1000) * 2000)
    history(root).store_string("last")
    found = list(history(root).load_history_strings())
    assert found[0] == "last"
    assert "first" not in found
    assert len(found) > 900


def add(root: Path, name: str) -> None:
    for number in range(200):
        PromptHistory(root, Chips(), print).store_string(f"{name} {number} {'x' * 5000}")


def test_sessions_that_run_at_once_lose_nothing(root: Path) -> None:
    context = multiprocessing.get_context("fork")
    others = [context.Process(target=add, args=(root, name)) for name in ("a", "b")]
    for other in others:
        other.start()
    for other in others:
        other.join()
    found = kept(root).read_text()
    for name in ("a", "b"):
        assert all(f"{name} {number} x" in found for number in range(200))
    assert sum(bool(line) for line in found.splitlines()) == 400


def test_a_session_that_is_not_kept_has_a_history_of_its_own(root: Path) -> None:
    history(root).store_string("before")
    private = PromptHistory(root, Chips(), pytest.fail, keeps=False)
    assert list(private.load_history_strings()) == ["before"]
    private.append_string("secret")
    assert private.get_strings()[-1] == "secret"
    assert list(history(root).load_history_strings()) == ["before"]


def test_a_history_that_cannot_be_kept_is_told_once(root: Path) -> None:
    told: list[str] = []
    (root / "home").write_text("a file")
    broken = PromptHistory(root, Chips(), told.append)
    broken.store_string("one")
    broken.store_string("two")
    assert list(broken.load_history_strings()) == []
    assert len(told) == 1
    assert told[0].startswith("prompts are not kept for later: ")


def test_a_prompt_of_an_earlier_session_is_searched_and_sent(begin: Begin) -> None:
    first = begin(says("One."))
    first.type(f"explain this: \x1b[200~{'word ' * 400}\x1b[201~\r")
    first.until("One\\.")
    first.enter("/quit")
    first.leave()
    second = begin(says("Two."))
    second.type("\x12explain")
    second.until("explain this: \\[Pasted text #1 2,000 characters\\]")
    second.enter("")
    second.enter("")
    second.until("Two\\.")
    assert second.asked().endswith(f"explain this: {'word ' * 400}")
