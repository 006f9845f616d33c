"""Are the files, in the end, what the teacher left?

Equal tree ids are equal files. Where they differ, the teacher's tool uses are done again, and the
two directories compared by `ccpa.filestate`: it passes over what tools write and nobody decides
(lock files, caches), and over how a notebook is laid out in its file, which an agent decides.
"""

from pathlib import Path

from msgspec import Struct

from ccpa.consistency import apply_teacher
from ccpa.errors import CcpaError
from ccpa.filestate import compare_directories
from ccpa.fixtures import Fixture, read_trace
from ccpa.sameness import Forgive
from ccpa.trace import AssistantTurn, HookEvent, Record, SessionEnd, ToolUseBlock
from ccpa.workspace import tree_id

_NOTEBOOKS = Forgive(markdown=False, data=False)
_RUNS_NOTHING = {"Read", "Edit", "Write", "NotebookEdit", "Glob", "Grep", "TodoWrite"}


class Files(Struct, frozen=True):
    """Whether the files are as the teacher left them, and where they are known not to be."""

    same: bool | None
    differing: tuple[str, ...] = ()


def final_files(fixture: Fixture, workspace: Path, rebuilt: Path) -> Files:
    """Compare the files with those that the teacher left.

    The teacher's tool uses are done again at `rebuilt`, which must not exist, if need be. Where the
    teacher's files cannot be made again, the tree ids have the last word.
    """
    wanted = _wanted(read_trace(fixture.teacher_trace))
    if wanted is not None and tree_id(workspace) == wanted:
        return Files(same=True)
    if apply_teacher(fixture, rebuilt).inconsistencies:
        return Files(same=None if wanted is None else False)
    try:
        state = compare_directories(rebuilt, workspace, forgive=_NOTEBOOKS)
    except OSError as error:
        raise CcpaError(f"{workspace}: cannot be compared: {error.strerror}") from None
    paths = (*(one.path for one in state.differences), *state.unreadable)
    return Files(state.equal, paths)


def same_files(fixture: Fixture, workspace: Path, rebuilt: Path) -> bool | None:
    """Compare the files by their tree id, and by their meaning where notebooks were edited.

    Nothing of the recording is run: one that runs commands or hooks is held to its tree id. None
    where the recording does not tell it.
    """
    recorded = read_trace(fixture.teacher_trace)
    wanted = _wanted(recorded)
    if wanted is None or tree_id(workspace) == wanted:
        return None if wanted is None else True
    names = {
        block.name
        for record in recorded
        if isinstance(record, AssistantTurn)
        for block in record.blocks
        if isinstance(block, ToolUseBlock)
    }
    runs = any(isinstance(record, HookEvent) for record in recorded) or names - _RUNS_NOTHING
    if runs or "NotebookEdit" not in names:
        return False
    return final_files(fixture, workspace, rebuilt).same


def _wanted(recorded: list[Record]) -> str | None:
    end = next((r for r in reversed(recorded) if isinstance(r, SessionEnd)), None)
    return end.cwd_sha256_after if end else None
