import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccpa.redact import MARK, redact
from ccpa.trace import (
    AssistantTurn,
    Block,
    HookEvent,
    Record,
    TextBlock,
    ThinkingBlock,
    ToolResult,
    ToolUseBlock,
    UserPrompt,
)

# Put together here, so that no scanner of repositories takes them for somebody's.
TOKEN = "ghp_" + "a8Kd93jLs02mXvBnQ7wErTyUiOpZ4cFgH1k2"
OTHER = "ghp_" + "Zq7LmX0aTv9sRkE3pYbN5uJcW1dGhF8oI2tQ"
KEY_ID = "AKIA" + "Q3EGRIQ7VJ2WHGZ5"
SECRET_KEY = "k7Rz1xUtnFEMIqK7MDXN" + "GxbPxRfiCYzQ8LmX0aTv"
PRIVATE = (
    "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEow" + "Q8aZ" * 60 + "\n-----END RSA PRIVATE KEY-----"
)


def prompt(text: str) -> UserPrompt:
    return UserPrompt(v=1, turn=0, text=text)


def turn(*blocks: Block) -> AssistantTurn:
    return AssistantTurn(v=1, turn=1, blocks=list(blocks), stop_reason="end_turn")


def text_of(record: Record) -> str:
    assert isinstance(record, UserPrompt)
    return record.text


def test_a_secret_becomes_what_it_was_and_a_number() -> None:
    records, done = redact([prompt(f"export GITHUB_TOKEN={TOKEN}")])
    assert text_of(records[0]) == "export GITHUB_TOKEN=«redacted:github-pat:1»"
    assert done.secrets == {"github-pat": 1}
    assert done.places == {"github-pat": 1}


def test_equal_secrets_stay_equal_and_others_stay_different() -> None:
    records, done = redact([prompt(f"{TOKEN} {OTHER} {TOKEN}")])
    assert text_of(records[0]) == (
        "«redacted:github-pat:1» «redacted:github-pat:2» «redacted:github-pat:1»"
    )
    assert (done.secrets["github-pat"], done.places["github-pat"]) == (2, 3)


def test_a_secret_that_one_text_gives_away_is_gone_from_all() -> None:
    found = 'password = "hunter2-Zq!9x_Long"'
    records, _ = redact([prompt("Log in with hunter2-Zq!9x_Long, please."), prompt(found)])
    assert text_of(records[0]) == "Log in with «redacted:generic-password:1», please."


def test_no_place_in_a_record_is_missed() -> None:
    everywhere: list[Record] = [
        turn(
            TextBlock(TOKEN),
            ThinkingBlock(TOKEN),
            ToolUseBlock("t", "Bash", {"env": [{TOKEN: TOKEN}], "command": f"echo {TOKEN}"}),
        ),
        ToolResult(v=1, turn=2, tool_use_id="t", ok=True, content=TOKEN),
        HookEvent(
            v=1, turn=2, event="Stop", decision="allow", exit_code=0, output=TOKEN, matcher=TOKEN
        ),
    ]
    records, done = redact(everywhere)
    assert TOKEN not in repr(records)
    assert done.places["github-pat"] == 8


def test_the_name_of_an_argument_gives_its_value_away() -> None:
    value = "9f86d081884c7d659a2f" + "eaa0c55ad015"
    use = ToolUseBlock("t", "Call", {"headers": {"X-Api-Key": value}})
    records, _ = redact([turn(use)])
    assert value not in repr(records)


def test_a_private_key_goes_as_a_whole_also_where_it_is_json() -> None:
    records, _ = redact([prompt(PRIVATE), prompt(json.dumps({"key": PRIVATE}))])
    assert text_of(records[0]) == "«redacted:private-key:1»"
    assert json.loads(text_of(records[1])) == {"key": "«redacted:private-key:1»"}


def test_both_halves_of_a_pair_go() -> None:
    pair = f"AWS_ACCESS_KEY_ID={KEY_ID}\nAWS_SECRET_ACCESS_KEY={SECRET_KEY}"
    text = text_of(redact([prompt(pair)])[0][0])
    assert KEY_ID not in text
    assert SECRET_KEY not in text


@pytest.mark.parametrize("trick", ["# gitleaks:allow", "// BetterLeaks:Allow", "\0", "\0" * 9])
def test_the_text_itself_cannot_hide_a_secret(trick: str) -> None:
    assert TOKEN not in text_of(redact([prompt(f"{trick} {TOKEN} {trick}")])[0][0])


@pytest.mark.parametrize("before", [57_000, 65_500, 65_530, 122_000])
def test_a_secret_is_found_wherever_a_long_text_is_parted(before: int) -> None:
    text = "word " * (before // 5) + TOKEN + " word" * 20_000
    assert TOKEN not in text_of(redact([prompt(text)])[0][0])


def test_a_short_secret_goes_only_where_it_was_found() -> None:
    records, done = redact([prompt('password: "a1b2c3"'), prompt("The colour is #a1b2c3.")])
    assert "a1b2c3" not in text_of(records[0])
    assert text_of(records[1]) == "The colour is #a1b2c3."
    assert sum(done.places.values()) == 1


def test_what_holds_a_trace_together_is_left_alone() -> None:
    use = ToolUseBlock(TOKEN, "Bash", {"command": "ls"})
    result = ToolResult(v=1, turn=2, tool_use_id=TOKEN, ok=True, content=TOKEN)
    records, _ = redact([turn(use), result])
    assert isinstance(records[1], ToolResult)
    assert records[1].tool_use_id == TOKEN
    assert TOKEN not in records[1].content


def test_ids_digests_and_code_are_no_secrets() -> None:
    harmless = (
        "commit 8f14e45fceea167a5a36dedd4bea2543a7f4c9d1\n"
        "toolu_01DHJXeo5bj3GUzvNMJ1FhxX 0198a9f2-6b9e-7b21-9d3c-0242ac120002\n"
        'password = getpass()\nAPI_KEY = os.environ["API_KEY"]\n'
    )
    records = [prompt(harmless)]
    assert redact(records)[0] == records


def test_redacting_again_changes_nothing() -> None:
    given: list[Record] = [
        prompt(f'password = "{TOKEN}"\n{PRIVATE}\npostgres://u:Tr0ub4dor3xyz@h/d')
    ]
    once, _ = redact(given)
    assert MARK in text_of(once[0])
    twice, done = redact(once)
    assert (twice, done.secrets) == (once, {})


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=20), st.sampled_from([TOKEN, OTHER, PRIVATE])), max_size=4)
)
def test_whatever_surrounds_it_a_secret_goes_and_the_rest_stays(
    parts: list[tuple[str, str]],
) -> None:
    text = " ".join(f"{words} {secret}" for words, secret in parts)
    value: Any = text_of(redact([prompt(text)])[0][0])
    for words, secret in parts:
        assert secret not in value
        assert words in value
