"""A script that goes on with another: what was said before must be in the history."""

from typing import Any

import pytest

from ccpa.scripted.script import Script
from ccpa.scripted.server import ScriptedModel, serving
from tests.ccpa.scripted.talk import calls, messages, prompt, results, said, says, text, user

READ = ("toolu_r", "Read", {"file_path": "/w/a"})
EDIT = ("toolu_e", "Edit", {"file_path": "/w/a", "old_string": "1", "new_string": "2"})
EARLIER = Script.from_trace([prompt("Read it."), calls(READ), says("Read.", 3)])
LATER = Script.from_trace([prompt("Now change it.", 4), calls(EDIT, number=5), says("Done.", 7)])


def before() -> list[dict[str, Any]]:
    """Return the history of the earlier session."""
    model = ScriptedModel(EARLIER)
    with serving(model) as url:
        first = messages(url, user("Read it."))
        second = messages(url, user("Read it."), said(first), results("toolu_r"))
    assert model.findings() == []
    return [user("Read it."), said(first), results("toolu_r"), said(second)]


def test_it_begins_where_the_other_ended() -> None:
    model = ScriptedModel(LATER.after(EARLIER))
    assert model.unsaid == 2
    history = [*before(), user("Now change it.")]
    with serving(model) as url:
        edit = messages(url, *history)
        done = messages(url, *history, said(edit), results("toolu_e"))
    assert text(done) == "Done."
    assert model.findings() == []


@pytest.mark.parametrize("kept", [0, 2])
def test_an_agent_that_has_forgotten_what_was_before_is_refused(kept: int) -> None:
    model = ScriptedModel(LATER.after(EARLIER))
    with serving(model) as url:
        answer = messages(url, *before()[:kept], user("Now change it."))
    assert "error" in answer
    assert {finding.category for finding in model.findings()} == {
        "extraneous_llm_call",
        "missing_llm_call",
    }


def test_an_agent_that_begins_anew_is_refused() -> None:
    model = ScriptedModel(LATER.after(EARLIER))
    with serving(model) as url:
        answer = messages(url, user("Read it."))
    assert "too early: no result in the history for toolu_r (Read)" in answer["error"]["message"]
