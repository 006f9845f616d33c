"""The pairs in `fixtures/regression` must be told apart, by exactly the drifts they expect."""

from pathlib import Path
from typing import get_args

import pytest

from ccpa.cli.diff import drift_json
from ccpa.compare import Comparison
from ccpa.consistency import check_teacher
from ccpa.drifts import Category
from ccpa.fixtures import Fixture, load_corpus
from ccpa.pairs import compare_files
from ccpa.validate import check

ROOT = Path(__file__).parents[2] / "fixtures" / "regression"
PAIRS = load_corpus(ROOT)


def compared(pair: Fixture) -> Comparison:
    assert pair.student_trace is not None
    return compare_files(pair.teacher_trace, pair.student_trace, pair.workspace)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_the_pair_shows_the_drifts_it_expects_and_no_other(pair: Fixture) -> None:
    found = compared(pair)
    listed = [drift_json(drift, found) for drift in found.drifts]
    shown = [
        {name: drift.get(name) for name in expected}
        for drift, expected in zip(listed, pair.expect, strict=False)
    ]
    assert shown == list(pair.expect)
    assert len(listed) == len(pair.expect)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_the_pair_turned_round_shows_as_many_drifts(pair: Fixture) -> None:
    assert pair.student_trace is not None
    there = compared(pair)
    back = compare_files(pair.student_trace, pair.teacher_trace, pair.workspace)
    assert len(back.drifts) == len(there.drifts)
    assert back.alignment.cost == there.alignment.cost
    assert back.score.parity == there.score.parity
    assert (back.score.recall, back.score.precision) == (
        there.score.precision,
        there.score.recall,
    )


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_a_trace_does_not_drift_from_itself(pair: Fixture) -> None:
    if pair.id == "call-without-its-input":
        return
    found = compare_files(pair.teacher_trace, pair.teacher_trace, pair.workspace)
    assert found.drifts == []
    assert found.score.parity == 1.0


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.id)
def test_both_traces_of_the_pair_are_valid(pair: Fixture) -> None:
    for path in (pair.teacher_trace, pair.student_trace):
        assert path is not None
        with path.open("rb") as file:
            assert check(file).valid


@pytest.mark.parametrize("pair", [one for one in PAIRS if one.workspace], ids=lambda pair: pair.id)
def test_what_the_teacher_did_could_have_happened(pair: Fixture) -> None:
    assert check_teacher(pair) == []


def test_every_category_of_drift_has_a_pair() -> None:
    expected = {drift["category"] for pair in PAIRS for drift in pair.expect}
    assert expected == set(get_args(Category))


def test_there_are_at_least_thirty_pairs_and_each_is_described() -> None:
    assert len(PAIRS) >= 30
    assert all(pair.description and pair.expect for pair in PAIRS)
