"""What the recorder makes of requests and answers: the agent and its model are this test."""

import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from ccpa.fixtures import read_trace
from ccpa.importers.notes import Notes
from ccpa.importers.session import About
from ccpa.paths import Root
from ccpa.record.recorder import Recorder
from ccpa.record.writing import Secrets, TraceFile
from ccpa.scripted.http import HttpRequest, HttpResponse
from ccpa.scripted.server import WIRES
from ccpa.scripted.wire import Answer, Asked
from ccpa.trace import (
    AssistantTurn,
    Block,
    Record,
    TextBlock,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
)
from ccpa.validate import check
from ccpa.workspace import snapshot

ASKED = Asked(model="m", stream=False, system="", tools=(), history=())
READ = ToolUseBlock("r1", "Read", {"file_path": "a.txt"})
BASH = ToolUseBlock("b1", "Bash", {"command": "make"})
AGENT = ToolUseBlock("s1", "Agent", {"description": "look", "prompt": "Look at a.txt closely"})


class Talk:
    """An agent and a model that say what the test says, with a recorder between them."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "a.txt").write_text("a")
        self.folder = folder
        self.notes = Notes()
        self.secrets = Secrets()
        self.warnings: list[str] = []
        self.answers: list[HttpResponse] = []
        self.history: list[Any] = []
        self.recorder = Recorder(
            self._answer,
            lambda: snapshot(self.project),
            self._open,
            Root(str(self.project)),
            notes=self.notes,
        )

    def _open(self, number: int) -> TraceFile:
        about = About(actor="tester", ts="2026-01-01T00:00:00Z", cwd=str(self.project))
        return TraceFile(
            self.folder / f"{number}.jsonl",
            about,
            snapshot(self.project).tree_id,
            notes=self.notes,
            secrets=self.secrets,
            warn=self.warnings.append,
        )

    async def _answer(self, _request: HttpRequest) -> HttpResponse:
        return self.answers.pop(0)

    async def ask(self, messages: list[Any], *blocks: Block, **more: Any) -> list[Any]:
        """Ask over Messages, and be answered; return the history with the answer."""
        turn = AssistantTurn(v=1, turn=1, blocks=list(blocks), stop_reason="end_turn")
        body = WIRES["/messages"].whole(Answer(turn=turn, asked=ASKED, key="k"))
        self.answers.append(HttpResponse(body=body))
        response = await self.send("/v1/messages", asked(messages, **more))
        assert isinstance(response.body, bytes)
        said = {"role": "assistant", "content": json.loads(response.body)["content"]}
        return [*messages, said]

    async def send(self, path: str, body: Any) -> HttpResponse:
        raw = json.dumps(body).encode()
        return await self.recorder(HttpRequest("POST", path, {}, raw, len(raw)))

    async def end(self) -> list[Record]:
        """End the session; return the records of the main trace."""
        self.recorder.finish()
        for trace in self.recorder.traces:
            trace.session.end("error")
            trace.close()
            with trace.path.open("rb") as stream:
                assert check(stream, version=None, prefix=False).problems == []
        return read_trace(self.recorder.traces[0].path)


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    return Talk(tmp_path)


def asked(messages: list[Any], **more: Any) -> dict[str, Any]:
    tools: list[Any] = [{"name": name, "input_schema": {}} for name in ("Read", "Bash", "Agent")]
    return {"model": "m", "max_tokens": 99, "messages": messages, "tools": tools, **more}


def user(*parts: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": part} for part in parts]}


def results(*told: tuple[str, str]) -> dict[str, Any]:
    found = [{"type": "tool_result", "tool_use_id": use, "content": text} for use, text in told]
    return {"role": "user", "content": found}


def texts(records: list[Record]) -> list[str]:
    """Return what was said, in order: prompts, texts, tools, results."""
    said = []
    for record in records:
        if isinstance(record, UserPrompt):
            said.append(f"asked {record.text}")
        elif isinstance(record, AssistantTurn):
            whose = f"{record.parent_tool_use_id}: " if record.parent_tool_use_id else ""
            for block in record.blocks:
                words = block.text if isinstance(block, TextBlock) else getattr(block, "name", "")
                said.append(whose + words)
        elif isinstance(record, ToolResult):
            said.append(f"{record.tool_use_id} {record.content}")
    return said


def effects(records: list[Record]) -> dict[str, list[str]]:
    return {
        record.tool_use_id: record.side_effects.files_written
        for record in records
        if isinstance(record, ToolResult) and record.side_effects
    }


async def test_a_conversation_is_written_down_as_it_happens(talk: Talk) -> None:
    history = await talk.ask([user("read it")], TextBlock("I read."), READ)
    so_far = read_trace(talk.recorder.traces[0].path)
    assert texts(so_far) == ["asked read it", "I read.", "Read"]
    history = await talk.ask([*history, results(("r1", "a"))], TextBlock("It says a."))
    await talk.ask([*history, user("and now?")], TextBlock("Nothing."))
    assert texts(await talk.end()) == [
        "asked read it",
        "I read.",
        "Read",
        "r1 a",
        "It says a.",
        "asked and now?",
        "Nothing.",
    ]


async def test_a_subagent_is_told_by_its_prompt(talk: Talk) -> None:
    other = ToolUseBlock("s2", "Agent", {"prompt": "Look at b.txt closely"})
    history = await talk.ask([user("go")], AGENT, other)
    below = await talk.ask([user("<where/>", "Look at b.txt closely")], READ)
    await talk.ask([*below, results(("r1", "b"))], TextBlock("b it is"))
    await talk.ask([user("<where/>", "Look at a.txt closely")], TextBlock("a it is"))
    await talk.ask([*history, results(("s1", "a it is"), ("s2", "b it is"))], TextBlock("done"))
    assert texts(await talk.end()) == [
        "asked go",
        "Agent",
        "Agent",
        "s2: Read",
        "r1 b",
        "s2: b it is",
        "s1: a it is",
        "s1 a it is",
        "s2 b it is",
        "done",
    ]


async def test_subagents_with_equal_prompts_have_a_conversation_each(talk: Talk) -> None:
    twin = ToolUseBlock("s2", "Agent", AGENT.input)
    await talk.ask([user("go")], AGENT, twin)
    first = await talk.ask([user("Look at a.txt closely")], READ)
    second = ToolUseBlock("r2", "Read", {"file_path": "a.txt"})
    # The second one asks before the first one's results are there.
    other = await talk.ask([user("Look at a.txt closely")], second)
    await talk.ask([*first, results(("r1", "a"))], TextBlock("one"))
    await talk.ask([*other, results(("r2", "a"))], TextBlock("two"))
    said = texts(await talk.end())
    assert said[3:] == ["s1: Read", "s2: Read", "r1 a", "s1: one", "r2 a", "s2: two"]


async def test_a_conversation_of_no_tool_use_has_a_trace_of_its_own(talk: Talk) -> None:
    await talk.ask([user("go")], TextBlock("gone"))
    await talk.ask([user("something else")], TextBlock("yes"))
    assert texts(await talk.end()) == ["asked go", "gone"]
    assert texts(read_trace(talk.recorder.traces[1].path)) == ["asked something else", "yes"]
    assert list(talk.notes.marked) == ["conversation of no known tool use, in a trace of its own"]


async def test_requests_on_the_side_are_left_out_and_counted(talk: Talk) -> None:
    title = {"system": "Generate a short title for this conversation.", "tools": []}
    await talk.ask([user("go")], TextBlock("Going"), **title)
    history = await talk.ask([user("go")], READ)
    await talk.ask([user("ping")], TextBlock("?"), tools=[], max_tokens=1)
    await talk.ask([user("Is this about Python?")], TextBlock("no"), tools=[])
    form = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    asked_by_the_way = [*history, results(("r1", "a"))]
    await talk.ask(asked_by_the_way, TextBlock("{}"), tools=[], output_config=form)
    await talk.ask(asked_by_the_way, TextBlock("done"))
    assert texts(await talk.end()) == ["asked go", "Read", "r1 a", "done"]
    assert talk.recorder.counts.left_out == {
        "title": 1,
        "probe": 1,
        "request without tools, of no conversation": 1,
        "question about a conversation": 1,
    }


async def test_a_summarised_conversation_goes_on(talk: Talk) -> None:
    history = await talk.ask([user("go")], READ)
    history = await talk.ask([*history, results(("r1", "a"))], TextBlock("read"))
    ask = user("Write a summary of this conversation so far.")
    await talk.ask([*history, ask], TextBlock("<summary>\nWe have read a.txt.\n</summary>"))
    await talk.ask([user("Before this: We have read a.txt. Go on.")], TextBlock("going on"))
    assert [one for one in texts(await talk.end()) if not one.startswith("asked Before")] == [
        "asked go",
        "Read",
        "r1 a",
        "read",
        "going on",
    ]
    assert talk.recorder.counts.left_out == {"compaction": 1}
    assert len(talk.recorder.traces) == 1


async def test_texts_beside_results_are_no_prompts(talk: Talk) -> None:
    history = await talk.ask([user("go")], READ)
    message = results(("r1", "a"))
    message["content"].append({"type": "text", "text": "Do not forget the tests."})
    await talk.ask([*history, message], TextBlock("done"))
    assert texts(await talk.end()) == ["asked go", "Read", "r1 a", "done"]
    assert talk.notes.skipped == {"text beside results": 1}


async def test_errors_are_counted_and_asking_again_is_one_prompt(talk: Talk) -> None:
    talk.answers += [HttpResponse(status=529, body=b"{}"), HttpResponse(status=500, body=b"")]
    await talk.send("/v1/messages", asked([user("go")]))
    await talk.send("/v1/messages", asked([user("go")]))
    await talk.ask([user("go")], TextBlock("gone"))
    assert texts(await talk.end()) == ["asked go", "gone"]
    assert talk.recorder.counts.refused == {"529": 1, "500": 1}


async def test_an_answer_that_broke_off_is_not_written_down(talk: Talk) -> None:
    turn = AssistantTurn(v=1, turn=1, blocks=[TextBlock("half a")], stop_reason="end_turn")
    events = list(WIRES["/messages"].streamed(Answer(turn=turn, asked=ASKED, key="k")))
    talk.answers.append(HttpResponse(content_type="text/event-stream", body=pieces(events[:4])))
    response = await talk.send("/v1/messages", asked([user("go")], stream=True))
    assert await read(response) == b"".join(events[:4])
    await talk.ask([user("go")], TextBlock("whole"))
    assert texts(await talk.end()) == ["asked go", "whole"]
    assert talk.notes.skipped == {"answer that broke off": 1}


async def test_an_answer_is_on_disk_before_the_agent_has_the_end_of_it(talk: Talk) -> None:
    turn = AssistantTurn(v=1, turn=1, blocks=[TextBlock("all of it")], stop_reason="end_turn")
    events = list(WIRES["/messages"].streamed(Answer(turn=turn, asked=ASKED, key="k")))
    talk.answers.append(HttpResponse(content_type="text/event-stream", body=pieces(events)))
    response = await talk.send("/v1/messages", asked([user("go")], stream=True))
    assert not isinstance(response.body, bytes)
    trace = talk.recorder.traces[0].path
    written = [texts(read_trace(trace))[1:] async for _ in response.body]
    assert written == [[]] * (len(events) - 1) + [["all of it"]]
    await talk.end()


async def test_an_agent_need_not_read_a_stream_to_its_end(talk: Talk) -> None:
    """Some go on after the finish reason: what comes behind it is then no loss."""
    turn = AssistantTurn(v=1, turn=1, blocks=[READ], stop_reason="tool_use")
    events = list(WIRES["/chat/completions"].streamed(Answer(turn=turn, asked=ASKED, key="k")))
    talk.answers.append(HttpResponse(content_type="text/event-stream", body=pieces(events)))
    history: list[Any] = [{"role": "user", "content": "go"}]
    tools = [{"type": "function", "function": {"name": "Read"}}]
    body = {"model": "m", "messages": history, "tools": tools, "stream": True}
    response = await talk.send("/v1/chat/completions", body)
    assert not isinstance(response.body, bytes)
    for _ in events[:-1]:
        await anext(response.body)
    call = {"id": "r1", "type": "function", "function": {"name": "Read", "arguments": "{}"}}
    history += [{"role": "assistant", "content": None, "tool_calls": [call]}]
    history += [{"role": "tool", "tool_call_id": "r1", "content": "a"}]
    done = AssistantTurn(v=1, turn=1, blocks=[TextBlock("done")], stop_reason="end_turn")
    whole = WIRES["/chat/completions"].whole(Answer(turn=done, asked=ASKED, key="k"))
    talk.answers.append(HttpResponse(body=whole))
    await talk.send("/v1/chat/completions", body)
    await response.body.aclose()
    assert texts(await talk.end()) == ["asked go", "Read", "r1 a", "done"]


async def test_responses_may_go_on_from_an_earlier_one_without_its_history(talk: Talk) -> None:
    def answer(key: str, *blocks: Block) -> HttpResponse:
        turn = AssistantTurn(v=1, turn=1, blocks=list(blocks), stop_reason="end_turn")
        return HttpResponse(body=WIRES["/responses"].whole(Answer(turn=turn, asked=ASKED, key=key)))

    talk.answers += [answer("1", READ), answer("2", TextBlock("done"))]
    await talk.send("/v1/responses", {"model": "m", "input": "go"})
    output = {"type": "function_call_output", "call_id": "r1", "output": "a"}
    await talk.send(
        "/v1/responses", {"model": "m", "input": [output], "previous_response_id": "resp_1"}
    )
    assert texts(await talk.end()) == ["asked go", "Read", "r1 a", "done"]


async def test_an_answer_that_the_agent_drops_leaves_its_calls_without_results(talk: Talk) -> None:
    await talk.ask([user("go")], READ)
    await talk.ask([user("go")], TextBlock("done"))
    records = await talk.end()
    assert texts(records) == ["asked go", "Read", "r1 «no result in the transcript»", "done"]
    assert talk.notes.marked["answer that the agent dropped"] == 1


async def test_files_that_change_are_effects_of_the_open_tool_use(talk: Talk) -> None:
    history = await talk.ask([user("go")], BASH)
    (talk.project / "made.txt").write_text("made")
    (talk.project / "a.txt").unlink()
    await talk.ask([*history, results(("b1", "ok"))], TextBlock("done"))
    (talk.project / "later.txt").write_text("by nobody")
    assert effects(await talk.end()) == {"b1": ["a.txt", "made.txt"]}


async def test_a_subagents_files_are_its_own(talk: Talk) -> None:
    history = await talk.ask([user("go")], AGENT)
    below = await talk.ask([user("Look at a.txt closely")], BASH)
    (talk.project / "a.txt").write_text("changed")
    await talk.ask([*below, results(("b1", "ok"))], TextBlock("done"))
    await talk.ask([*history, results(("s1", "done"))], TextBlock("done"))
    assert effects(await talk.end()) == {"b1": ["a.txt"]}


async def test_keys_that_went_over_the_wire_are_not_written_down(talk: Talk) -> None:
    talk.secrets.add("Bearer sk-very-secret")
    told = {"command": "echo sk-very-secret", "more": ["sk-very-secret"]}
    leak = ToolUseBlock("b1", "Bash", told)
    history = await talk.ask([user("my key is sk-very-secret")], TextBlock("sk-very-secret"), leak)
    await talk.ask([*history, results(("b1", "Authorization: Bearer sk-very-secret"))])
    records = await talk.end()
    assert "very-secret" not in talk.recorder.traces[0].path.read_text()
    assert texts(records)[0] == "asked my key is (removed)"


async def test_what_is_no_request_of_a_wire_is_passed_on(talk: Talk) -> None:
    for path, body in [("/v1/models", {}), ("/v1/messages", []), ("/v1/messages", {"model": 1})]:
        talk.answers.append(HttpResponse(body=b"as it was"))
        assert (await talk.send(path, body)).body == b"as it was"
    assert texts(await talk.end()) == []
    assert talk.recorder.counts.left_out == {"request of no known shape": 1}


async def test_a_disk_that_is_full_ends_the_trace_and_not_the_session(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = await talk.ask([user("go")], READ)
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    trace = talk.recorder.traces[0]
    os.dup2(os.open(full, os.O_WRONLY), trace._descriptor)
    await talk.ask([*history, results(("r1", "a"))], TextBlock("done"))
    assert not trace.is_whole
    assert len(talk.warnings) == 1
    assert "the trace is incomplete" in talk.warnings[0]
    assert texts(read_trace(trace.path)) == ["asked go", "Read"]


async def pieces(events: list[bytes]) -> AsyncGenerator[bytes, None]:
    for event in events:
        yield event


async def read(response: HttpResponse) -> bytes:
    assert not isinstance(response.body, bytes)
    return b"".join([piece async for piece in response.body])
