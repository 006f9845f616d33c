"""An agent that does nothing wrong plays every canonical recording to its end, in every wire.

It runs no tools: it answers each call with one word, gives each subagent a conversation of its own,
and asks for the next prompt when a turn calls no tool.
"""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ccpa.fixtures import find_fixtures, read_trace
from ccpa.scripted.script import MAIN, Script
from ccpa.scripted.server import ScriptedModel, serving
from ccpa.trace import ToolUseBlock, UserPrompt

CANONICAL = Path(__file__).parents[3] / "fixtures" / "canonical"
SURROUNDINGS = "<environment>\nWorking directory: /elsewhere\n</environment>"
TOOLS = ("Agent", "Bash", "Edit", "Glob", "Grep", "Read", "Write")


class Agent:
    """One wire's way to talk. `ask` adds the answer to the history and returns its calls."""

    path: str

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.connection = connection

    def send(self, body: dict[str, Any]) -> Any:
        self.connection.request("POST", "/v1" + self.path, json.dumps({"model": "m", **body}))
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer
        return answer

    def play(self, prompts: list[str]) -> None:
        """Hold one conversation, and those of its subagents."""
        history: list[Any] = []
        for prompt in prompts:
            self.say(history, prompt)
            while calls := self.ask(history):
                for _, _, given in calls:
                    if "subagent_type" in given:
                        self.play([given["prompt"]])
                self.answer(history, [id_ for id_, _, _ in calls])

    def say(self, history: list[Any], text: str) -> None:
        raise NotImplementedError

    def ask(self, history: list[Any]) -> list[tuple[str, str, dict[str, Any]]]:
        raise NotImplementedError

    def answer(self, history: list[Any], ids: list[str]) -> None:
        raise NotImplementedError


class MessagesAgent(Agent):
    path = "/messages"

    def say(self, history: list[Any], text: str) -> None:
        parts = [{"type": "text", "text": part} for part in (SURROUNDINGS, text)]
        history.append({"role": "user", "content": parts})

    def ask(self, history: list[Any]) -> list[tuple[str, str, dict[str, Any]]]:
        tools = [{"name": name, "input_schema": {}} for name in TOOLS]
        content = self.send({"max_tokens": 99, "messages": history, "tools": tools})["content"]
        history.append({"role": "assistant", "content": content})
        used = [part for part in content if part["type"] == "tool_use"]
        return [(part["id"], part["name"], part["input"]) for part in used]

    def answer(self, history: list[Any], ids: list[str]) -> None:
        done = [{"type": "tool_result", "tool_use_id": id_, "content": "done"} for id_ in ids]
        history.append({"role": "user", "content": done})


class ChatAgent(Agent):
    path = "/chat/completions"

    def say(self, history: list[Any], text: str) -> None:
        history.append({"role": "user", "content": f"{SURROUNDINGS}\n\n{text}"})

    def ask(self, history: list[Any]) -> list[tuple[str, str, dict[str, Any]]]:
        tools = [{"type": "function", "function": {"name": name}} for name in TOOLS]
        message = self.send({"messages": history, "tools": tools})["choices"][0]["message"]
        history.append(message)
        used = [(call["id"], call["function"]) for call in message.get("tool_calls", ())]
        return [(id_, f["name"], json.loads(f["arguments"])) for id_, f in used]

    def answer(self, history: list[Any], ids: list[str]) -> None:
        history += [{"role": "tool", "tool_call_id": id_, "content": "done"} for id_ in ids]


class ResponsesAgent(Agent):
    path = "/responses"

    def say(self, history: list[Any], text: str) -> None:
        for part in (SURROUNDINGS, text):
            content = [{"type": "input_text", "text": part}]
            history.append({"type": "message", "role": "user", "content": content})

    def ask(self, history: list[Any]) -> list[tuple[str, str, dict[str, Any]]]:
        tools = [{"type": "function", "name": name} for name in TOOLS]
        output = self.send({"input": history, "tools": tools, "store": False})["output"]
        history += output
        used = [item for item in output if item["type"] == "function_call"]
        return [(item["call_id"], item["name"], json.loads(item["arguments"])) for item in used]

    def answer(self, history: list[Any], ids: list[str]) -> None:
        history += [
            {"type": "function_call_output", "call_id": id_, "output": "done"} for id_ in ids
        ]


@pytest.mark.parametrize("agent", [MessagesAgent, ChatAgent, ResponsesAgent])
def test_every_recording_is_played_to_its_end(agent: type[Agent]) -> None:
    for directory in find_fixtures(CANONICAL):
        records = read_trace(directory / "teacher.ccpa-trace.jsonl")
        script = Script.from_trace(records)
        model = ScriptedModel(script)
        with serving(model) as url:
            place = urlsplit(url)
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
            agent(connection).play(all_prompts(script, records))
            connection.close()
        assert model.findings() == [], directory.name
        served = {(e.conversation, e.turn) for e in model.exchanges}
        expected = {(c.name, n) for c in script.conversations for n in range(len(c.turns))}
        assert served == expected, directory.name


def all_prompts(script: Script, records: list[Any]) -> list[str]:
    """Return what the main conversation is asked: the prompts, and what a blocking hook says."""
    prompts = [record.text for record in records if isinstance(record, UserPrompt)]
    main = next(c for c in script.conversations if c.name == MAIN)
    calm = [t for t in main.turns if not any(isinstance(b, ToolUseBlock) for b in t.blocks)]
    return prompts + ["Not yet: the hook has more to say."] * (len(calm) - len(prompts))
