"""`ccpa corpus DIR --check`: could the teachers' traces have happened?"""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from ccpa.consistency import Replay, replay_teacher
from ccpa.console import one_line
from ccpa.fixtures import Fixture, load_corpus

Checked = Iterable[tuple[Fixture, Replay]]


def run(corpus: Path, *, as_json: bool) -> int:
    """Do every teacher's tool uses again, print what could not have happened; 1 if anything.

    Commands in the traces and hooks in the workspaces are run: only for corpora that one trusts.

    Raises:
        CcpaError: the corpus, or one of its fixtures, cannot be used.
    """
    fixtures = load_corpus(corpus)
    # Threads: what takes time is the commands, which are processes of their own.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = zip(fixtures, pool.map(replay_teacher, fixtures), strict=True)
        return _as_json(checked) if as_json else _print(checked)


def _print(checked: Checked) -> int:
    found = rerun = by_shape = 0
    for fixture, replay in checked:
        for problem in replay.inconsistencies:
            place = one_line(f"{fixture.teacher_trace}:{problem.record}: {problem.tool}")
            print(f"{place}: {one_line(problem.problem)}")
        found += len(replay.inconsistencies)
        rerun += replay.rerun
        by_shape += sum(replay.shape_only.values())
    verdict = f"{found} could not have happened" if found else "all could have happened"
    print(f"{rerun} results produced again, {by_shape} looked at for their shape: {verdict}")
    return 1 if found else 0


def _as_json(checked: Checked) -> int:
    answer = {fixture.id: msgspec.to_builtins(replay) for fixture, replay in checked}
    print(json.dumps(answer, indent=2))
    return 1 if any(replay["inconsistencies"] for replay in answer.values()) else 0
