"""What is written of a session is what is read, wherever the file ends."""

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.agent.events import Remembered, Rewritten
from apr.providers.base import AssistantMessage, Message, ToolAnswer, ToolMessage, UserMessage
from apr.sessions import lines, places
from apr.sessions.lines import Line, Named, Recorded, Rewrote, Said, Seen
from apr.sessions.places import SessionError
from apr.sessions.stored import load
from apr.sessions.writer import SessionWriter
from ccpa.trace import AssistantTurn, TextBlock, ToolUseBlock, UserPrompt

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
IDS = st.from_regex(r"toolu_[a-z0-9]{1,8}", fullmatch=True)
BLOCKS = st.one_of(
    st.builds(TextBlock, TEXTS),
    st.builds(ToolUseBlock, IDS, TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=2)),
)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(UserMessage, TEXTS),
    st.builds(AssistantMessage, st.lists(BLOCKS, min_size=1, max_size=3).map(tuple), TEXTS),
    st.builds(
        ToolMessage,
        st.lists(st.builds(ToolAnswer, IDS, TEXTS, TEXTS, st.booleans()), max_size=2).map(tuple),
    ),
)
LINES: st.SearchStrategy[Line] = st.one_of(
    st.builds(Said, MESSAGES),
    st.builds(Rewrote, st.lists(MESSAGES, max_size=3).map(tuple)),
    st.builds(Seen, TEXTS, st.binary(max_size=8).map(bytes.hex)),
    st.builds(Named, TEXTS),
    st.builds(Recorded, st.builds(UserPrompt, v=st.just(1), turn=st.integers(0, 9), text=TEXTS)),
)


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APR_HOME", str(home))


@given(LINES)
def test_a_line_is_read_as_it_was_written(line: Line) -> None:
    assert lines.decode(lines.encode(line)) == line


def test_a_line_that_is_nested_too_deeply_is_damaged_as_any_other(project: Path) -> None:
    writer = SessionWriter(project, "deep", model="m", warn=lambda _text: None)
    writer.close()
    call = ToolUseBlock("toolu_1", "Read", {"deep": []})
    line = lines.encode(Said(AssistantMessage((call,))))
    deep = line.replace(b"[]", b"[" * 100_000 + b"]" * 100_000)
    writer.path.write_bytes(writer.path.read_bytes() + deep)
    with pytest.raises(SessionError, match=r"deep\.jsonl:2: .* nested too deeply"):
        load(writer.path)


@given(st.lists(LINES, max_size=12), st.data())
def test_a_session_is_what_was_written_up_to_where_its_file_ends(
    written: list[Line], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        warnings: list[str] = []
        writer = SessionWriter(root, "id", model="m", warn=warnings.append)
        for line in written:
            writer.write(line)
        writer.close()
        assert warnings == []
        whole = writer.path.read_bytes()
        first = whole.index(b"\n") + 1
        end = data.draw(st.integers(first, len(whole)))
        writer.path.write_bytes(whole[:end])
        kept = written[: whole[:end].count(b"\n") - 1]
        stored = load(writer.path)
        again = SessionWriter(root, "id", model="m", warn=warnings.append)
        again.write(Named("taken up"))
        again.close()
        assert load(writer.path).name == "taken up"
        writer.path.unlink()
    records = [line.record for line in kept if isinstance(line, Recorded)]
    assert stored.records[: len(records)] == records
    assert stored.mended or stored.records == records
    assert stored.messages[: len(messages := _messages(kept))] == messages
    assert len(stored.messages) - len(messages) in {0, 1}
    seen = {line.path: line.stamp for line in kept if isinstance(line, Seen)}
    assert stored.seen == {Path(path): bytes.fromhex(s) for path, s in seen.items() if s}
    names = [line.name for line in kept if isinstance(line, Named)]
    assert stored.name == (names[-1] if names else None)


def _messages(written: list[Line]) -> list[Message]:
    messages: list[Message] = []
    for line in written:
        if isinstance(line, Said):
            messages.append(line.message)
        elif isinstance(line, Rewrote):
            messages = list(line.messages)
    return messages


class Talk:
    """A session's file, written as a conversation goes."""

    def __init__(self, root: Path) -> None:
        self.writer = SessionWriter(root, "id", model="m", warn=lambda _text: None)
        self.turn = -1
        self.history: list[Message] = []

    def ask(self, text: str) -> None:
        """A prompt comes, and is answered."""
        self.writer(UserPrompt(v=1, turn=self._next(), text=text))
        self._say(UserMessage(f"<environment>\n\n{text}"))
        answer = TextBlock(f"to {text}")
        self.writer(AssistantTurn(v=1, turn=self._next(), blocks=[answer], stop_reason="end_turn"))
        self._say(AssistantMessage((answer,)))

    def use(self, call: ToolUseBlock, *, ok: bool = True) -> None:
        """A tool is used."""
        self._say(AssistantMessage((call,)))
        self._say(ToolMessage((ToolAnswer(call.id, call.name, "done", ok),)))

    def listing(self) -> list[str]:
        """The calls that have made the list of tasks."""
        return [call.id for call in load(self.writer.path).listing]

    def rewrite(self, text: str, history: list[Message], back_to: int | None = None) -> None:
        """Somebody wants another history."""
        self.writer(UserPrompt(v=1, turn=self._next(), text=text))
        self.history = list(history)
        self.writer(Rewritten(tuple(history), back_to))

    def prompts(self) -> list[str]:
        """Those that can be gone back to."""
        return [prompt.text for prompt in load(self.writer.path).prompts]

    def _next(self) -> int:
        self.turn += 1
        return self.turn

    def _say(self, message: Message) -> None:
        self.history.append(message)
        self.writer(Remembered(message))


def test_a_session_is_read_as_it_was_before_each_of_its_prompts(project: Path) -> None:
    talk, before = Talk(project), []
    for text in ("one", "two", "three"):
        before.append((talk.turn + 1, list(talk.history)))
        talk.writer.saw(Path(text), b"x")
        talk.ask(text)
    for (turn, history), seen in zip(before, ("one", "one two", "one two three"), strict=True):
        then = load(talk.writer.path, before=turn)
        assert then.messages == history
        assert [path.name for path in then.seen] == seen.split()
    with pytest.raises(SessionError, match="no prompt of turn 1"):
        load(talk.writer.path, before=1)


def test_prompts_that_were_taken_back_are_no_more_and_those_summed_up_are(project: Path) -> None:
    talk = Talk(project)
    talk.ask("one")
    talk.ask("two")
    talk.rewrite("/compact", [UserMessage("a summary")])
    talk.ask("three")
    assert talk.prompts() == ["one", "two", "three"]
    two = load(talk.writer.path).prompts[1]
    then = load(talk.writer.path, before=two.turn)
    talk.rewrite(f"/rewind {two.turn}", then.messages, back_to=two.turn)
    assert talk.prompts() == ["one"]
    talk.ask("two again")
    assert talk.prompts() == ["one", "two again"]
    assert load(talk.writer.path).messages == talk.history
    talk.rewrite("/clear", [])
    assert talk.prompts() == ["one", "two again"]
    assert load(talk.writer.path).messages == []


def test_a_session_ends_with_the_last_prompt_that_was_not_taken_back(project: Path) -> None:
    talk = Talk(project)
    assert load(talk.writer.path).ending == []
    talk.ask("one")
    history = list(talk.history)
    talk.ask("two")
    talk.rewrite("/rewind 2", history, back_to=2)
    asked, answered = load(talk.writer.path).ending
    assert isinstance(asked, UserPrompt)
    assert asked.text == "one"
    assert isinstance(answered, AssistantTurn)


def test_the_list_of_tasks_is_what_calls_have_made_it_that_were_not_taken_back(
    project: Path,
) -> None:
    talk = Talk(project)
    talk.ask("one")
    talk.use(ToolUseBlock("toolu_1", "TodoWrite", {"todos": []}))
    talk.use(ToolUseBlock("toolu_2", "TaskCreate", {}), ok=False)
    talk.use(ToolUseBlock("toolu_3", "Read", {}))
    known = list(talk.history)
    talk.rewrite("/compact", [UserMessage("a summary")])
    two = talk.turn + 1
    talk.ask("two")
    talk.use(ToolUseBlock("toolu_4", "TaskUpdate", {"taskId": "1"}))
    assert talk.listing() == ["toolu_1", "toolu_4"]
    assert [call.id for call in load(talk.writer.path, before=two).listing] == ["toolu_1"]
    talk.rewrite("/rewind", known, back_to=two)
    assert talk.listing() == ["toolu_1"]


def test_a_copy_of_a_session_has_its_list_of_tasks(project: Path) -> None:
    talk = Talk(project)
    talk.use(ToolUseBlock("toolu_1", "TaskCreate", {"subject": "a"}))
    copy = SessionWriter(project, "copy", model="m", warn=lambda _text: None)
    copy.write(Rewrote(tuple(talk.history)))
    assert [call.id for call in load(copy.path).listing] == ["toolu_1"]


def test_a_prompt_that_a_hook_refused_cannot_be_gone_back_to(project: Path) -> None:
    talk = Talk(project)
    talk.writer(UserPrompt(v=1, turn=0, text="refused"))
    talk.turn = 0
    talk.ask("taken")
    assert talk.prompts() == ["taken"]


def test_what_a_crash_left_open_is_mended_where_it_stopped(project: Path) -> None:
    """An answer on record that never became a message is one; its calls are answered."""
    call = ToolUseBlock("toolu_1", "Read", {})
    writer = SessionWriter(project, "id", model="m", warn=lambda _text: None)
    writer(UserPrompt(v=1, turn=0, text="look"))
    writer(Remembered(UserMessage("look")))
    writer(AssistantTurn(v=1, turn=1, blocks=[call], stop_reason="tool_use"))
    stored = load(writer.path)
    assert stored.messages[1] == AssistantMessage((call,))
    answers = stored.messages[2]
    assert isinstance(answers, ToolMessage)
    assert answers.answers[0].content == "The session ended before this was done."
    assert stored.turn == 2
    for line in stored.mended:
        writer.write(line)
    again = load(writer.path)
    assert (again.messages, again.records, again.mended) == (stored.messages, stored.records, [])


@given(st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_read_or_refused(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with pytest.raises(SessionError):
            load(Path(file.name))


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a.b", "x" * 65, "\n"])
def test_an_id_cannot_name_another_place(name: str) -> None:
    with pytest.raises(SessionError, match="not a session id"):
        places.path_of(Path("/p"), name)


@given(TEXTS)
def test_a_line_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        lines.decode(msgspec.json.encode({"type": text}))
