"""What one run came to."""

from msgspec import Struct


class Checked(Struct, frozen=True):
    """A check of the fixture: `what` it is, and the `detail` of what was found if it failed."""

    what: str
    passed: bool
    detail: str = ""


class Tokens(Struct, frozen=True):
    """Tokens that a run cost. `cached` of those `sent` were remembered and not evaluated again."""

    sent: int = 0
    cached: int = 0
    generated: int = 0


class Call(Struct, frozen=True):
    """A tool that was called for on both sides, or on one: "" is none.

    `same` says that name and input agree. Where a side did not call for any tool, it answered.
    """

    teacher: str
    student: str
    same: bool


class Decision(Struct, frozen=True, kw_only=True):
    """One decision of the teacher, and what the student did in its place.

    Args:
        turn: of the teacher's answer.
        position: number of the decision in its conversation, from 1.
        context: tokens of history that the student was asked with.
        calls: the tools that were called for, paired; empty where both answered.
        same: the student decided as the teacher did.
        failed: the student's answer that was none: its context was too small.
    """

    turn: int
    position: int
    context: int
    calls: tuple[Call, ...]
    same: bool
    failed: str | None = None


class Outcome(Struct, frozen=True, kw_only=True):
    """What one run came to.

    Args:
        fixture: its fixture's id.
        run: its number, from 1.
        error: why the run is no evidence: the agent did not start, or its model's server failed.
        score: parity with the teacher (`forced`: share of decisions that agree), 0..1.
        recall: as in `ccpa.score`.
        precision: as in `ccpa.score`.
        drifts: how many of each category.
        same_files: whether the files are as the teacher left them; None where that is not known.
        differing: paths in which they are not, so far as known.
        checks: the fixture's, in order.
        decisions: for `forced`, one for each decision.
        elapsed_s: seconds that it took.
        tokens: what it cost.
        confined: whether the agent ran in a sandbox.
        attempts: what it tried to reach besides its model: time, protocol, host and port.
        trace: the student's, as it was written; empty for `forced`.
        where: the server, or the machine, that did it.
    """

    fixture: str
    run: int
    error: str | None = None
    score: float | None = None
    recall: float | None = None
    precision: float | None = None
    drifts: dict[str, int] = {}
    same_files: bool | None = None
    differing: tuple[str, ...] = ()
    checks: tuple[Checked, ...] = ()
    decisions: tuple[Decision, ...] = ()
    elapsed_s: float = 0.0
    tokens: Tokens = Tokens()
    confined: bool = False
    attempts: tuple[str, ...] = ()
    trace: bytes = b""
    where: str = ""

    @property
    def success(self) -> bool | None:
        """Whether all checks passed; None where there are none."""
        return all(check.passed for check in self.checks) if self.checks else None
