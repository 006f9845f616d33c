"""A person goes back in the conversation, or begins it anew: what the model is asked then."""

import json
from pathlib import Path

from apr.agent.compaction import Compactor
from apr.agent.events import PromptDone, Rewritten
from apr.agent.prompt import Rewrite
from apr.providers.base import AssistantMessage, Message, UserMessage
from ccpa.trace import TextBlock, UserPrompt
from tests.apr.assembled import Voices, events, session

WHERE = "<environment>\nWorking directory: "


def texts(messages: tuple[Message, ...]) -> list[str]:
    return [message.text for message in messages if isinstance(message, UserMessage)]


async def test_the_model_is_asked_with_the_history_that_the_person_went_back_to(
    project: Path,
) -> None:
    voices = Voices({"one": ["To three."]})
    chat = session(project, voices)
    history = (UserMessage("one"), AssistantMessage((TextBlock("To one."),)))
    chat.agent.messages = [*history, UserMessage("two")]
    happened = await events(chat, Rewrite("/rewind 2", history, back_to=2), "three")
    assert texts(voices.asked[-1].messages) == ["one", "three"]
    assert [e for e in happened if isinstance(e, Rewritten)] == [Rewritten(history, back_to=2)]
    prompts = [e for e in happened if isinstance(e, UserPrompt)]
    assert [(prompt.turn, prompt.text) for prompt in prompts] == [(0, "/rewind 2"), (1, "three")]
    assert len([e for e in happened if isinstance(e, PromptDone)]) == 2


async def test_a_conversation_that_begins_anew_is_told_where_it_is(project: Path) -> None:
    said = {"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": "Hi."}}
    hook = {"type": "command", "command": f"echo '{json.dumps(said)}'"}
    settings = project / ".apr/settings.local.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"hooks": {"SessionStart": [{"hooks": [hook]}]}}))
    voices = Voices({"one": ["To one."], "three": ["To three.", "To four."]})
    await events(session(project, voices), "one", Rewrite("/clear"), "three", "four")
    first, anew, last = (texts(request.messages) for request in voices.asked)
    assert first[0].startswith(WHERE)
    assert "Hi.\n\n" in first[0]
    assert anew == [first[0].removesuffix("one") + "three"]
    assert last == [*anew, "four"]


async def test_a_session_that_goes_on_is_not_told_again_where_it_is(project: Path) -> None:
    voices = Voices({"one": ["To two."]})
    chat = session(project, voices)
    chat.agent.messages = [UserMessage("one"), AssistantMessage((TextBlock("To one."),))]
    await events(chat, "two")
    assert texts(voices.asked[-1].messages) == ["one", "two"]


async def test_what_was_counted_of_another_history_is_forgotten(project: Path) -> None:
    chat = session(project, Voices({"one": ["To one."]}))
    window = chat.agent.window
    assert isinstance(window, Compactor)
    reckoned = window.tokens(chat.agent)
    window.counted(1, 1_000_000)
    assert window.tokens(chat.agent) == 1_000_000
    await events(chat, Rewrite("/rewind 0"))
    assert window.tokens(chat.agent) == reckoned
