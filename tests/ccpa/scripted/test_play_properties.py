"""Whatever the script: a correct history is always let on, and a wrong one never is."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ccpa.scripted.play import Play, Refused, Taken
from ccpa.scripted.script import MAIN, Conversation, Script
from ccpa.scripted.wire import Asked, Entry, Prompt, Results, Said, joined
from ccpa.trace import AssistantTurn, ToolUseBlock
from tests.ccpa.scripted.talk import calls, says


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Draw some conversations, each of turns with none to three calls."""
    conversations = []
    number = 0
    for name in ("main", "t1", "t2")[: draw(st.integers(1, 3))]:
        turns: list[AssistantTurn] = []
        for count in draw(st.lists(st.integers(0, 3), min_size=1, max_size=5)):
            uses: list[tuple[str, str, dict[str, Any]]] = [
                (f"id{number + n}", "Read", {}) for n in range(count)
            ]
            number += count
            turns.append(calls(*uses) if uses else says("word"))
        conversations.append(Conversation(name=name, prompt=f"Prompt {name}.", turns=tuple(turns)))
    return Script(tuple(conversations))


def ask(history: list[Entry]) -> Asked:
    return Asked(model="m", stream=False, system="", tools=("Read",), history=joined(history))


def ids_of(turn: AssistantTurn) -> tuple[str, ...]:
    return tuple(block.id for block in turn.blocks if isinstance(block, ToolUseBlock))


def after(history: list[Entry], taken: Taken) -> list[Entry]:
    """Return the history with an answer and what a good client adds to it."""
    ids = ids_of(taken.turn)
    reply: Entry = Results(tuple(reversed(ids))) if ids else Prompt(("Go on.",))
    return [*history, Said(ids), reply]


@given(scripts(), st.randoms(use_true_random=False))
def test_conversations_that_interleave_in_any_order_are_all_let_on(
    script: Script, chance: Any
) -> None:
    play = Play(script, str)
    histories: dict[str, list[Entry]] = {
        c.name: [Prompt(("surroundings", c.prompt or ""))] for c in script.conversations
    }
    due = [c.name for c in script.conversations for _ in c.turns]
    chance.shuffle(due)
    for name in due:
        taken = play.take(ask(histories[name]))
        assert isinstance(taken, Taken)
        assert taken.conversation == name
        play.arrived(taken)
        histories[name] = after(histories[name], taken)
    assert play.extraneous == []
    assert play.missing() == []
    for history in histories.values():
        assert isinstance(play.take(ask(history)), Refused)


def without_a_result(history: list[Entry]) -> list[Entry]:
    *rest, last = history
    assert isinstance(last, Results)
    return [*rest, Results(last.ids[1:])]


def with_a_result_twice(history: list[Entry]) -> list[Entry]:
    last = history[-1]
    assert isinstance(last, Results)
    return [*history, Results(last.ids[:1])]


def with_a_strange_result(history: list[Entry]) -> list[Entry]:
    return [*history, Results(("strange",))]


def with_a_strange_call(history: list[Entry]) -> list[Entry]:
    *rest, _, last = history
    assert isinstance(last, Results)
    return [*rest, Said(("strange", *last.ids[1:])), last]


WRONGS = [without_a_result, with_a_result_twice, with_a_strange_result, with_a_strange_call]


@given(scripts(), st.sampled_from(WRONGS))
def test_a_history_with_one_thing_wrong_is_refused_and_then_the_right_one_let_on(
    script: Script, wrong: Callable[[list[Entry]], list[Entry]]
) -> None:
    play = Play(script, str)
    main = script.conversations[0]
    history: list[Entry] = [Prompt((main.prompt or "",))]
    for turn in main.turns[:-1]:
        taken = play.take(ask(history))
        assert isinstance(taken, Taken)
        play.arrived(taken)
        history = after(history, taken)
        if ids_of(turn):
            before = len(play.extraneous)
            refused = play.take(ask(wrong(history)))
            assert isinstance(refused, Refused)
            assert refused.conversation == MAIN
            assert len(play.extraneous) == before + 1
    assert isinstance(play.take(ask(history)), Taken)
