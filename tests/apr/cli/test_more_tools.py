"""The tools beyond the core in `apr code`: what a model is shown of them, and what they answer."""

import base64
import json
from pathlib import Path
from typing import Any

from apr.tools.images import kind_of
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import apr, calls, says
from tests.apr.tools.test_read_documents import PIXEL


def shown(model: ScriptedModel) -> list[str]:
    return [tool["function"]["name"] for tool in model.requests[0]["tools"]]


def told(model: ScriptedModel, request: int = 1) -> list[dict[str, Any]]:
    """Return the messages behind the first answer."""
    messages: list[dict[str, Any]] = model.requests[request]["messages"]
    at = next(n for n, message in enumerate(messages) if message["role"] == "assistant")
    return messages[at + 1 :]


def run(model: ScriptedModel, home: Path, project: Path, *words: str) -> str:
    with serving(model) as url:
        done = apr("code", "--base-url", url, *words, "go", home=home, cwd=project)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_that_can_see_is_shown_pictures(home: Path, project: Path) -> None:
    (project / "a.png").write_bytes(PIXEL)
    both = calls(("Read", {"file_path": "a.png"}), ("Read", {"file_path": "README.md"}))
    model = ScriptedModel([both, says("A pixel.")])
    assert run(model, home, project, "--vision") == "A pixel.\n"
    picture, text, see = told(model)
    assert (picture["role"], text["role"], see["role"]) == ("tool", "tool", "user")
    assert text["content"].startswith("1\t# Calc")
    image, words = see["content"]
    data = image["image_url"]["url"].removeprefix("data:image/png;base64,")
    assert kind_of(base64.b64decode(data)) == "image/png"
    assert picture["content"] in words["text"]


def test_a_model_that_cannot_is_told_so(home: Path, project: Path) -> None:
    (project / "a.png").write_bytes(PIXEL)
    model = ScriptedModel([calls(("Read", {"file_path": "a.png"})), says("I cannot see.")])
    run(model, home, project)
    (answer,) = told(model)
    assert "this model cannot see pictures" in answer["content"]


def test_a_local_model_is_shown_none(home: Path, project: Path) -> None:
    done = apr("code", "--model", "demo", "--vision", "go", home=home, cwd=project)
    assert done.returncode == 2
    assert "--vision goes with --base-url" in done.stderr


def test_the_web_is_offered_where_it_may_be_used(home: Path, project: Path) -> None:
    search = {"apr": {"webSearch": {"url": "http://127.0.0.1:9/"}}}
    (home / ".claude").mkdir()
    (home / ".claude" / "settings.json").write_text(json.dumps(search))
    asks = calls(
        ("WebSearch", {"query": "locks"}),
        ("WebFetch", {"url": "http://127.0.0.1:9/", "prompt": "?"}),
        ("WebFetch", {"url": "https://other.example/", "prompt": "?"}),
    )
    model = ScriptedModel([asks, says("No web.")])
    allowed = ("--allowed-tools", "WebSearch WebFetch(domain:127.0.0.1)")
    run(model, home, project, *allowed)
    assert {"WebSearch", "WebFetch"} <= set(shown(model))
    search_told, fetch_told, other_told = [message["content"] for message in told(model)]
    assert "The search service could not be used. 127.0.0.1 could not be asked" in search_told
    assert "127.0.0.1 could not be asked" in fetch_told
    assert "No rule allows" in other_told


def test_what_is_of_no_use_is_not_offered_and_still_answers(home: Path, project: Path) -> None:
    asks = calls(
        ("WebSearch", {"query": "locks"}),
        ("TaskCreate", {"subject": "Look"}),
        ("AskUserQuestion", {"questions": []}),
    )
    model = ScriptedModel([asks, says("Nothing.")])
    run(model, home, project, "--allowed-tools", "WebSearch")
    hidden = {"WebSearch", "WebFetch", "TaskCreate", "AskUserQuestion", "ExitPlanMode", "Monitor"}
    assert not hidden & set(shown(model))
    assert "TodoWrite" in shown(model)
    search_told, task_told, ask_told = [message["content"] for message in told(model)]
    assert "the user has to set apr.webSearch.url" in search_told
    assert task_told == "Added 1. pending: Look"
    assert "questions" in ask_told


def test_plan_mode_offers_a_way_out(home: Path, project: Path) -> None:
    model = ScriptedModel([calls(("ExitPlanMode", {"plan": "1. Do it."})), says("A plan.")])
    run(model, home, project, "--permission-mode", "plan")
    assert "ExitPlanMode" in shown(model)
    (answer,) = told(model)
    assert "Nobody can be asked" in answer["content"]
