"""`apr bench`: a real model through apr and through bare llama.cpp."""

import json
from pathlib import Path

import pytest

from apr.bench.measure import Measured, Sample, over_bare
from apr.cli.bench import Report
from apr.providers.base import Speed
from tests.apr.engine.processes import of_home
from tests.apr.program import apr

SHORT = ("--prompt-tokens", "64", "--output-tokens", "8", "--repetitions", "2")


def test_both_ways_answer_the_same_tokens_and_nothing_stays_behind(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    run = apr("bench", tiny, "--json", *SHORT, home=home, cwd=tmp_path)

    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert set(report) == set(Report.__struct_fields__)
    assert 48 <= report["prompt_tokens"] <= 80
    assert (report["output_tokens"], report["repetitions"]) == (8, 2)
    for side in (report["apr"], report["bare"]):
        assert side["memory"] > 10e6
        for name in ("prefill", "generation", "first_token_s", "total_s"):
            assert 0 < side[name]["least"] <= side[name]["median"] <= side[name]["greatest"]
    assert report["overhead"]["least"] > -0.5
    assert of_home(home / ".apr") == []


def test_people_get_a_table(tiny: Path, home: Path, tmp_path: Path) -> None:
    run = apr("bench", tiny, *SHORT, home=home, cwd=tmp_path)

    assert run.returncode == 0, run.stderr
    for label in ("prefill", "generation", "first token", "peak memory", "over bare llama.cpp"):
        assert f"\n{label}" in run.stdout
    assert run.stderr == ""


def test_there_is_no_such_model(home: Path, tmp_path: Path) -> None:
    assert apr("bench", "./none.gguf", home=home, cwd=tmp_path).returncode == 3


def test_overheads_are_parts_of_what_they_are_over() -> None:
    def sample(total_s: float) -> Sample:
        speed = Speed(prefill_tokens=10, prefill_s=1.0, output_tokens=10, output_s=1.0)
        return Sample(engine=speed, first_token_s=1.0, total_s=total_s)

    measured = Measured(
        apr=[sample(2.1), sample(2.2)],
        bare=[sample(2.0), sample(2.0)],
        apr_memory=1,
        bare_memory=1,
    )
    assert measured.apr[0].overhead == pytest.approx(0.05)
    over = over_bare(measured)
    assert over is not None
    assert over.least == pytest.approx(0.05)
    assert over.greatest == pytest.approx(0.1)
    assert over_bare(Measured(apr=[], bare=[], apr_memory=1, bare_memory=None)) is None
