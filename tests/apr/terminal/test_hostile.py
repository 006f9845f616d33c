"""Text of strangers never drives the terminal: not what a model says, not what tools bring."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apr.agent.asking import Question
from apr.agent.events import (
    Event,
    Notice,
    PromptDone,
    Retracted,
    TextDelta,
    ThinkingDelta,
    ToolProgress,
    ToolStarted,
)
from apr.agent.gate import Gate
from apr.agent.permissions import Policy
from apr.terminal.consent import Consent
from apr.terminal.ink import said
from apr.terminal.screen import Screen
from apr.tools.base import Access
from apr.ui.terminal import plain
from ccpa.trace import AssistantTurn, TextBlock, ToolResult, ToolUseBlock
from tests.apr.program import calls, says
from tests.apr.terminal.conftest import Begin

HEBREW = "שלום.py"
OWN = re.compile(r"\x1b\[[0-9;]*m")
"""What is our own: styles."""
FORBIDDEN = re.compile(
    "[\u200b\u2060\ufeff\u00ad\u3164\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066\u2067\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
ATTACKS = (
    "\x1b]0;title\x07",
    "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;Y3VybCBldmls\x07",
    "\x1b[2J\x1b[H",
    "\x9b31m",
    "\x90q\x9c",
    "\x1bP1$r\x1b\\",
    "a\u202egnp.exe",
    "\u2066x\u2069\u2069",
    "\r> rm -rf /",
    "\x08\x08\x7f",
    "&#27;[31m &#x9b;5n &#x202e;",
    "\ud83d",
    "\U000e0061\U000e0062",
    "\u2028new line",
    "bui\u200dld \u200b\u2060\ufeff\u00ad\u3164",
)
HOSTILE = st.lists(
    st.sampled_from(ATTACKS) | st.text(max_size=12) | st.sampled_from(["**", "`", "\n", "| ", "> "])
).map("".join)


class Seen:
    """All that a terminal is sent, by what is final and by what moves."""

    def __init__(self, *, verbose: bool = False, root: Path = Path("/nowhere")) -> None:
        self.text = ""
        self.screen = Screen(self._write, lambda: 40, colour=True, root=root)
        self.screen.moves = True
        self.screen.verbose = verbose

    def _write(self, text: str) -> None:
        self.text += text

    def take(self, *events: Event) -> None:
        for event in events:
            self.screen(event)
            self.look()

    def look(self) -> None:
        self.text += "\n".join(said(line) for line in self.screen.frame(40, 24))

    def is_clean(self) -> bool:
        return FORBIDDEN.search(OWN.sub("", self.text)) is None


def result(call: ToolUseBlock, content: str, *, ok: bool) -> ToolResult:
    return ToolResult(v=1, turn=2, tool_use_id=call.id, ok=ok, content=content)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@example("".join(ATTACKS), False)
@example("```" + "\n".join(ATTACKS), True)
@given(HOSTILE, st.booleans())
def test_no_event_brings_a_control_character_to_the_terminal(text: str, verbose: bool) -> None:
    seen = Seen(verbose=verbose)
    seen.take(ThinkingDelta(text), TextDelta(text), Retracted(), TextDelta(text[:7]))
    seen.take(TextDelta(text[7:]))
    for name in ("Bash", "Write", "Edit", "Read", "Grep", "Agent", "TodoWrite", f"mcp__{text}__x"):
        given_ = {
            "command": text, "file_path": text, "content": text, "old_string": text,
            "new_string": text[::-1], "pattern": text, "path": text, "description": text,
            "subagent_type": text, "todos": [{"content": text, "status": text}], text: text,
        }  # fmt: skip
        call = ToolUseBlock("t", name, given_)
        turn = AssistantTurn(v=1, turn=1, blocks=[TextBlock(text), call], stop_reason="tool_use")
        seen.take(turn, ToolStarted(call), ToolProgress("t", text))
        seen.take(result(call, text, ok=name != "Bash"))
    seen.take(Notice(text), PromptDone("error", text))
    seen.screen.say(text)
    seen.screen.toggle_verbose()
    assert seen.is_clean()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@example("".join(ATTACKS))
@given(HOSTILE)
def test_no_question_brings_one_either(text: str) -> None:
    import asyncio

    async def ask(question: Question, seen: Seen) -> None:
        gate = Gate(Policy(root=Path("/nowhere")))
        consent = Consent(seen.screen, gate)
        task = asyncio.create_task(consent.ask(question))
        while not consent.waits and not task.done():
            await asyncio.sleep(0)
        seen.look()
        seen.screen.toggle_verbose()
        while not task.done():
            consent.answer("1" if question.call.name == "AskUserQuestion" else "n")
            await asyncio.sleep(0)
        assert not task.result().rules

    clean = text.encode("utf-8", "replace").decode().replace("\0", "") or "x"
    options = [{"label": text or "x", "description": text, "preview": text}, {"label": "b"}]
    asked = {"questions": [{"question": text or "x", "header": text, "options": options}]}
    for name, given_, access in (
        ("Bash", {"command": clean}, Access(kind="execute", command=clean)),
        ("Write", {"file_path": "x", "content": text}, Access(kind="write", paths=(Path("/x"),))),
        ("mcp__a__b", {text: text, "n": [text]}, Access(kind="network")),
        (f"mcp__{text}__b", {}, Access(kind="network")),
        ("ExitPlanMode", {"plan": text}, Access(kind="consent")),
        ("AskUserQuestion", asked, Access(kind="consent")),
    ):
        seen = Seen()
        call = ToolUseBlock("t", name, given_)
        asyncio.run(ask(Question(call=call, access=access, reason=text), seen))
        assert seen.is_clean()


@given(st.text())
def test_plain_text_is_plain_and_stays_so(text: str) -> None:
    shown = plain(text)
    assert FORBIDDEN.search(shown) is None
    assert plain(shown) == shown


@pytest.mark.parametrize("text", ["👩‍👧", "❤️", "1️⃣", "می‌خواهم", "क्‍ष"])
def test_what_joins_letters_stays_where_it_does(text: str) -> None:
    assert plain(text) == text
    assert plain("npm\u200d\ufe0f") == r"npm\u200d\ufe0f"


@pytest.mark.parametrize("attack", [*ATTACKS[:9], *ATTACKS[-1:]])
def test_what_was_there_can_be_seen(attack: str) -> None:
    assert plain(attack) != attack
    assert re.search(r"\\x[0-9a-f]{2}|\\u20", plain(attack))


def test_a_name_from_the_right_does_not_carry_away_what_stands_behind_it() -> None:
    seen = Seen()
    call = ToolUseBlock("t", "Read", {"file_path": HEBREW})
    turn = AssistantTurn(v=1, turn=1, blocks=[call], stop_reason="tool_use")
    seen.take(turn, ToolStarted(call), result(call, "1\tx", ok=True))
    assert f"\u2068{HEBREW}\u2069" in seen.text


def test_the_whole_program_is_not_driven_by_a_model_its_files_and_its_commands(
    begin: Begin, project: Path
) -> None:
    attack = "".join(a for a in ATTACKS if "\ud83d" not in a)
    name = "evil\x1b]0;owned\x07\u202e.txt"
    (project / name).write_text(attack)
    terminal = begin(
        calls(
            ("Glob", {"pattern": "*.txt"}),
            ("Read", {"file_path": name}),
            (f"mcp__{attack}__x", {"a": attack}),
            text=attack,
        ),
        calls(("Bash", {"command": f"printf '%s' \"{name}\"; cat *.txt; exit 1"}), first=4),
        says(f"# {attack}\n\n```{attack}\n{attack}\n```\n\nend."),
    )
    terminal.enter("go")
    terminal.until("allow\\?")
    terminal.type("\x0f")
    terminal.until("in full from now on")
    terminal.enter("y")
    terminal.until("end\\.")
    for sequence in (b"\x1b]", b"\x1bP", b"\x07", b"\xc2\x9b", "\u202e".encode(), b"\x1b[H"):
        assert sequence not in terminal.raw
    assert "\\x1b]0;owned\\x07\\u202e.txt" in terminal.text()


def test_an_error_of_a_server_is_shown_and_not_obeyed(begin: Begin) -> None:
    terminal = begin()
    terminal.enter("a \x1b]0;owned\x07")
    terminal.until("refused the request")
    assert b"\x1b]0;owned" not in terminal.raw
