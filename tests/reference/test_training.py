"""Training works: some seconds of it teach one session, and the engine runs what comes out."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `reference` is not installed")

from apr.tools.registry import BUILTIN, specs
from demo_model.recipe import train_and_write
from demo_model.results import with_real_results
from demo_model.sessions import Session, load_material, load_sessions
from demo_model.variation import Variation
from demo_model.verify import Failure, examiner_of

pytestmark = pytest.mark.reference
STEPS = 200


@pytest.fixture(autouse=True)
def apr_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APR_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def session() -> Session:
    """Return the shortest session in which a tool is used."""
    sessions = {session.id: session for session in load_sessions(load_material())}
    return with_real_results(sessions["demo-write-editorconfig"])


async def replay(path: Path, session: Session) -> None:
    """Ask the model in the file for the session, in places that its training never saw."""
    variation = Variation(load_material(), seed=2)
    async with examiner_of(path, specs(BUILTIN)) as examiner:
        for prompt in session.prompts:
            await examiner.replay(session, prompt, variation)


@pytest.mark.timeout(300)
async def test_a_short_training_teaches_one_session(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "one.gguf"

    loss = train_and_write(path, [session], seed=1, steps=STEPS, say=print)

    assert loss < 0.05
    await replay(path, session)


async def test_an_untrained_model_does_not_pass(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "none.gguf"
    train_and_write(path, [session], seed=1, steps=1, say=print)

    with pytest.raises(Failure, match="demo-write-editorconfig"):
        await replay(path, session)


def test_one_seed_gives_one_file(session: Session, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.gguf" for number in range(3)]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        train_and_write(path, [session], seed=seed, steps=3, say=print)

    first, again, other = (path.read_bytes() for path in paths)
    assert first == again
    assert first != other
