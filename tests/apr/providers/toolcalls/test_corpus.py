"""Outputs that models were seen to write, family by family: `corpus/*.toml` says what must come.

The same cases put this parser beside others: `tools/compare_toolcalls.py`.
"""

import random
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import compare_toolcalls
from apr.providers.toolcalls import marks
from apr.providers.toolcalls.pieces import Call, Piece, Text
from apr.providers.toolcalls.stream import Parser
from toolcall_corpus.cases import Case, load_groups, load_tools
from toolcall_corpus.engine import llama_cpp
from toolcall_corpus.judge import Faults, judge, same

TOOLS = load_tools()
CASES = {case.id: case for group in load_groups() for case in group.cases}
MARKUP = re.compile(
    r"</?tool_call>|</?function\b|</?parameter\b|</?arg_(?:key|value)>|<\|?[a-z_]+\|>|｜"
    r"|\[/?TOOL_CALLS\]|\[ARGS\]|\[/?THINK\]|</?think>"
)
THREAD = re.compile(r"[\w.-]+/[\w.-]+#\d+")


def read(case: Case, pieces: list[str]) -> list[Piece]:
    """Feed an output in pieces and return what was made of it."""
    parser = Parser(TOOLS, family=case.family)
    for piece in pieces:
        parser.feed(piece)
    return parser.finish(cut=case.ended == "length").pieces


def shown(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Text)).strip()


def runnable(pieces: list[Piece]) -> list[tuple[str, Any]]:
    return [(p.name, p.input) for p in pieces if isinstance(p, Call) and not p.reason]


def refused(pieces: list[Piece]) -> list[str]:
    return [p.name for p in pieces if isinstance(p, Call) and p.reason]


@pytest.mark.parametrize("name", CASES)
def test_every_call_comes_out_as_it_was_meant(name: str) -> None:
    case = CASES[name]
    pieces = read(case, [case.raw])
    calls = runnable(pieces)
    if calls == [(call.name, call.input) for call in case.or_calls or ()] != []:
        return
    assert [name for name, _ in calls] == [call.name for call in case.calls]
    for (_, values), call in zip(calls, case.calls, strict=True):
        assert values == call.input
        assert same(values, call.input)
    assert refused(pieces) == list(case.refused)
    if case.text is not None:
        assert shown(pieces) == case.text.strip()
    elif case.stays_text:
        assert shown(pieces) == case.raw.strip()
    elif not case.refused:
        assert not MARKUP.search(shown(pieces))


@pytest.mark.parametrize("name", CASES)
def test_how_the_output_comes_in_pieces_changes_nothing(name: str) -> None:
    case = CASES[name]
    whole = read(case, [case.raw])
    assert read(case, list(case.raw)) == whole
    draw = random.Random(case.id)
    for _ in range(5):
        places = sorted(draw.randrange(len(case.raw) + 1) for _ in range(draw.randrange(1, 9)))
        ends = [*places, len(case.raw)]
        pieces = [case.raw[a:b] for a, b in zip([0, *places], ends, strict=True)]
        assert read(case, pieces) == whole


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.calls])
def test_an_output_cut_off_anywhere_runs_nothing_else(name: str) -> None:
    case = CASES[name]
    meant = [*case.calls, *(case.or_calls or ())]
    step = max(1, len(case.raw) // 60)
    for end in range(0, len(case.raw), step):
        cut = msgspec.structs.replace(case, raw=case.raw[:end], ended="length", nulls=())
        for called, values in runnable(read(cut, [cut.raw])):
            assert any(called == call.name and same(values, call.input) for call in meant), end


def test_the_corpus_is_large_and_names_its_sources() -> None:
    assert len(CASES) == sum(len(group.cases) for group in load_groups()) >= 150
    assert len({(case.raw, case.ended) for case in CASES.values()}) == len(CASES)
    threads = [thread for case in CASES.values() for thread in case.seen_in]
    assert len(set(threads)) > 60
    assert all(THREAD.fullmatch(thread) for thread in threads)
    assert {case.family for case in CASES.values()} <= set(marks.OWN)


def test_values_are_compared_as_json() -> None:
    assert same({"a": 1, "b": [True, None]}, {"b": [True, None], "a": 1.0})
    assert not same(1, True)
    assert not same("1", 1)
    assert not same([1], [1, 2])
    assert not same({"a": 1}, {"a": 1, "b": None})


@given(st.sampled_from(sorted(CASES)))
def test_a_parser_that_answers_what_is_expected_has_no_faults(name: str) -> None:
    case = CASES[name]
    assert judge(case, [(c.name, c.input) for c in case.calls], TOOLS) == Faults()


def test_faults_are_told_apart() -> None:
    case = CASES["hermes-two-calls"]
    first, second = [(call.name, call.input) for call in case.calls]
    other = ("Read", {"file_path": "c.py"})
    unfit = ("Read", {"limit": 1})
    assert judge(case, [first], TOOLS) == Faults(lost=1)
    assert judge(case, [first, other], TOOLS) == Faults(altered=1)
    assert judge(case, [first, second, other], TOOLS) == Faults(invented=1)
    assert judge(case, [first, second, unfit, ("Fly", {})], TOOLS) == Faults()
    assert judge(case, [second, first], TOOLS).verdict == "altered"
    assert judge(CASES["hermes-quoted-in-fence"], [first], TOOLS).verdict == "invented"


def test_the_comparison_finds_nothing_wrong_with_this_parser(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    assert compare_toolcalls.main(["--cases", "--json", str(figures)]) == 0
    assert f"| **all** | {len(CASES)} | 0 / 0 / 0 |\n" in capsys.readouterr().out
    findings = msgspec.json.decode(figures.read_bytes(), type=list[compare_toolcalls.Finding])
    assert {finding.case for finding in findings} == set(CASES)


def test_a_parser_that_is_not_there_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert compare_toolcalls.main(["--with", f"sglang={tmp_path}"]) == 2
    assert "cannot be imported" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        compare_toolcalls.main(["--with", "ollama"])
    assert "there are: vllm, sglang, llama.cpp" in capsys.readouterr().err


def test_the_engines_own_parser_is_asked_in_the_engine() -> None:
    engine = llama_cpp(TOOLS, None)
    whole, bare = CASES["qwen-prose-before"], CASES["qwen-two-bare-functions"]
    assert engine.parse(whole) == [(call.name, call.input) for call in whole.calls]
    assert engine.parse(bare) == []
    assert engine.parse(CASES["harmony-template"]) is None
