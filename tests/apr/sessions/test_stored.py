"""What is written of a session is what is read, wherever the file ends."""

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.providers.base import AssistantMessage, Message, ToolAnswer, ToolMessage, UserMessage
from apr.sessions import lines, places
from apr.sessions.lines import Line, Named, Recorded, Rewrote, Said, Seen
from apr.sessions.places import SessionError
from apr.sessions.stored import load
from apr.sessions.writer import SessionWriter
from ccpa.trace import TextBlock, ToolUseBlock, UserPrompt

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
