"""A run of several prompts: each is said when the one before has its answer."""

from pathlib import Path

import pytest

from ccpa import trace
from ccpa.errors import CcpaError
from ccpa.measure.free import run_free
from ccpa.measure.plan import Job
from ccpa.scripted.server import ScriptedModel, serving
from tests.apr.program import says
from tests.ccpa.measure.jobs import job

FIXTURE = Path(__file__).parents[3] / "fixtures/canonical/multi-prompt-correction-go"


def of(base_url: str | None, at: int | None = None) -> Job:
    return job(
        FIXTURE.name,
        directory=str(FIXTURE),
        agent_args=("--model", "scripted"),
        base_url=base_url,
        at=at,
    )


def test_all_prompts_of_a_fixture_are_said() -> None:
    model = ScriptedModel([says("Which function?"), says("I see.")])
    with serving(model) as url:
        outcome = run_free(of(url))
    assert outcome.error is None
    records = list(trace.read(outcome.trace.split(b"\n")))
    prompts = [record.text for record in records if isinstance(record, trace.UserPrompt)]
    assert [prompt[:9] for prompt in prompts] == ["Add a fun", "int32 ove"]
    assert model.unsaid == 0


def test_a_fork_of_several_prompts_is_refused() -> None:
    with pytest.raises(CcpaError, match="has 2 prompts; a fork has one"):
        run_free(of("http://127.0.0.1:9/v1", at=1))
