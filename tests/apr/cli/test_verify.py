"""`apr verify` without the extra `reference`, and the numbers it judges by.

tests/reference/test_verify.py has the comparison itself.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from apr.verify.compare import Array, compare, passes, summary
from apr.verify.prompts import built_in, spread
from tests.apr.program import apr


@pytest.mark.skipif(find_spec("torch") is not None, reason="the extra `reference` is installed")
def test_it_says_what_to_install(tiny: Path, home: Path, tmp_path: Path) -> None:
    run = apr("verify", tiny, "--reference", tmp_path, home=home, cwd=tmp_path)

    assert run.returncode == 2
    assert "pip install 'apr-code[reference]'" in run.stderr
    assert run.stdout == ""


def logs(logits: list[float]) -> Array:
    values: Array = np.array(logits, np.float32)
    values -= np.log(np.exp(values).sum())
    return values


def test_equal_distributions_agree_whole() -> None:
    position = compare(logs([1, 2, 3]), logs([1, 2, 3]), prompt=0, position=1)

    assert position.cosine == pytest.approx(1, abs=1e-12)
    assert (position.furthest, position.divergence, position.same_first) == (0, 0, True)
    assert passes(summary([position]))


def test_a_constant_on_all_logits_changes_nothing() -> None:
    position = compare(logs([11, 12, 13]), logs([1, 2, 3]), prompt=0, position=1)
    assert position.cosine == pytest.approx(1, abs=1e-9)


def test_one_token_far_off_fails_however_many_agree() -> None:
    reference = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    engine = reference.copy()
    engine[0] += 0.5

    agreement = summary([compare(engine, reference, prompt=0, position=1)])

    assert agreement.worst_cosine > 0.99999
    assert agreement.worst_furthest == pytest.approx(0.5, abs=0.01)
    assert not passes(agreement)


def test_the_worst_position_decides() -> None:
    good = compare(logs([1, 2, 3]), logs([1, 2, 3]), prompt=0, position=1)
    bad = compare(logs([1, 3, 2]), logs([1, 2, 3]), prompt=1, position=1)

    agreement = summary([good] * 99 + [bad])

    assert agreement.worst_cosine == bad.cosine == pytest.approx(0.5)
    assert agreement.same_first == 0.99
    assert not passes(agreement)


def test_impossible_tokens_are_no_numbers_to_stumble_over() -> None:
    impossible = np.array([0.0, -np.inf], np.float32)
    position = compare(impossible, impossible, prompt=0, position=1)
    assert position.cosine == pytest.approx(1)
    assert np.isfinite(position.divergence)


def test_prompts_are_the_same_every_time_and_their_positions_spread() -> None:
    assert built_in(512) == built_in(512)
    assert all(0 <= token < 512 for ids in built_in(512) for token in ids)
    assert spread(96, 4) == [24, 48, 72, 96]
    assert spread(3, 16) == [1, 2, 3]
