"""Which slot a request is computed in, and what is saved and read back before."""

from pathlib import Path

import pytest

from apr.serve.conversation import Chain, chain
from apr.serve.prefixes import Entry, Prefixes
from apr.serve.slots import WORTH, Choice, Slot, choose, evaluated_now

SYSTEM = b"s" * WORTH


def talk(*parts: str) -> Chain:
    """Return the chain of a conversation under the common system prompt."""
    return chain([SYSTEM, *(part.encode() for part in parts)])


def slot(number: int, *parts: str, used: float = 0.0, busy: bool = False) -> Slot:
    return Slot(number, talk(*parts) if parts else Chain(), used=used, busy=busy)


def saved(prefixes: Prefixes, chain: Chain) -> str:
    """Put an entry where the engine would have written one; return its key."""
    (prefixes.folder / prefixes.draft(chain)).write_bytes(b"state" * 200)
    entry = Entry(chain, 1, {})
    prefixes.keep(entry)
    return entry.key


@pytest.fixture
def prefixes(tmp_path: Path) -> Prefixes:
    return Prefixes(tmp_path / "prefixes", "model", 10_000)


def test_a_conversation_goes_on_in_its_slot(prefixes: Prefixes) -> None:
    slots = [slot(0, "a"), slot(1, "b"), slot(2)]
    assert choose(talk("b", "said", "more"), slots, prefixes) == Choice(1)


def test_the_longest_of_its_slots_is_taken(prefixes: Prefixes) -> None:
    slots = [slot(0, "a"), slot(1, "a", "said", "more")]
    assert choose(talk("a", "said", "more", "and"), slots, prefixes) == Choice(1)


def test_a_new_conversation_gets_an_empty_slot_and_a_copy_of_what_it_shares(
    prefixes: Prefixes,
) -> None:
    slots = [slot(0, "a"), slot(1)]
    assert choose(talk("b"), slots, prefixes) == Choice(1, (0,), slots[0].chain.links[-1])


def test_nothing_is_copied_that_is_sooner_evaluated(prefixes: Prefixes) -> None:
    small = chain([b"s" * (WORTH - 1), b"a"])
    slots = [Slot(0, small), Slot(1)]
    assert choose(chain([b"s" * (WORTH - 1), b"b"]), slots, prefixes) == Choice(1)


def test_the_slot_unused_for_longest_makes_room_and_is_saved_before(prefixes: Prefixes) -> None:
    slots = [slot(0, "a", used=2), slot(1, "b", used=1)]
    assert choose(talk("c"), slots, prefixes) == Choice(1, (1,))


def test_what_is_saved_already_is_not_saved_again(prefixes: Prefixes) -> None:
    saved(prefixes, talk("b"))
    slots = [slot(0, "a", used=2), slot(1, "b", used=1)]
    assert choose(talk("c"), slots, prefixes) == Choice(1)


def test_a_conversation_that_had_to_make_room_is_read_back(prefixes: Prefixes) -> None:
    long = "x" * WORTH
    key = saved(prefixes, talk(long))
    slots = [slot(0, "a", used=2), slot(1, "b", used=1)]
    assert choose(talk(long, "said", "more"), slots, prefixes) == Choice(1, (1,), key)


def test_a_busy_slot_is_left_alone(prefixes: Prefixes) -> None:
    slots = [slot(0, "a", busy=True), slot(1, "b")]
    assert choose(talk("a", "said", "more"), slots, prefixes) == Choice(1, (1,))


def test_without_a_disk_nothing_is_saved() -> None:
    slots = [slot(0, "a", used=2), slot(1, "b", used=1)]
    assert choose(talk("c"), slots, None) == Choice(1)


def test_a_later_state_of_a_conversation_takes_the_place_of_the_earlier(
    prefixes: Prefixes,
) -> None:
    early = saved(prefixes, talk("a"))
    late = saved(prefixes, talk("a", "said", "more"))
    other = saved(prefixes, talk("b"))
    assert prefixes.get(early) is None
    assert {path.stem for path in prefixes.folder.iterdir()} == {late, other}


def test_what_was_used_longest_ago_goes_when_the_limit_is_reached(tmp_path: Path) -> None:
    room_for_two = Prefixes(tmp_path, "model", 2800)
    first, second = saved(room_for_two, talk("a")), saved(room_for_two, talk("b"))
    room_for_two.used(first)
    third = saved(room_for_two, talk("c"))
    assert [room_for_two.get(key) is not None for key in (first, second, third)] == [
        True,
        False,
        True,
    ]


def test_what_is_larger_than_the_limit_drives_nothing_out(tmp_path: Path) -> None:
    before = Prefixes(tmp_path, "model", 10_000)
    small = saved(before, talk("a"))
    after = Prefixes(tmp_path, "model", 900)
    large = saved(after, talk("b"))
    assert after.get(large) is None
    assert after.get(small) is not None
    assert {path.stem for path in after.folder.iterdir()} == {small}


def test_saved_conversations_are_found_again_and_rubbish_is_swept_away(tmp_path: Path) -> None:
    before = Prefixes(tmp_path, "model", 10_000)
    key = saved(before, talk("a"))
    for name in ("lost.kv", "lost.1.draft", "torn.json", "half.99999999.draft"):
        (before.folder / name).write_text("{")
    after = Prefixes(tmp_path, "model", 10_000)
    assert after.best(talk("a", "more")) == (2, key)
    assert {path.stem for path in after.folder.iterdir()} <= {key, "lost.1"}
    assert Prefixes(tmp_path, "another model", 10_000).best(talk("a")) == (0, None)


def test_the_folder_is_private(tmp_path: Path) -> None:
    root = tmp_path / "prefixes"
    folder = Prefixes(root, "model", 10_000).folder
    assert [path.stat().st_mode & 0o777 for path in (root, folder)] == [0o700, 0o700]


def coming(number: int, *parts: str) -> Slot:
    return Slot(number, busy=True, coming=talk(*parts))


def test_what_is_evaluated_now_is_waited_for(prefixes: Prefixes) -> None:
    slots = [coming(0, "a"), Slot(1)]
    assert evaluated_now(talk("b"), slots, prefixes) is slots[0]


def test_what_is_there_already_is_not_waited_for(prefixes: Prefixes) -> None:
    assert evaluated_now(talk("b"), [coming(0, "a"), slot(1, "c")], prefixes) is None
    saved(prefixes, talk("d"))
    assert evaluated_now(talk("b"), [coming(0, "a"), Slot(1)], prefixes) is None


def test_a_short_question_does_not_wait_for_a_long_document(prefixes: Prefixes) -> None:
    document = coming(0, "x" * (WORTH + 1))
    assert evaluated_now(talk("b"), [document, Slot(1)], prefixes) is None
    question = coming(1, "a")
    assert evaluated_now(talk("b"), [document, question, Slot(2)], prefixes) is question


def test_nobody_waits_where_nothing_is_kept() -> None:
    assert evaluated_now(talk("b"), [coming(0, "a"), Slot(1)], None) is None
