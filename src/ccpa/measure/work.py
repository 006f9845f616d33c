"""Doing one job: any mode, any machine."""

from ccpa.errors import CcpaError
from ccpa.measure.outcome import Outcome
from ccpa.measure.plan import Job


def work(job: Job) -> Outcome:
    """Do a job. What goes wrong with one run is that run's `error`, and no other's."""
    try:
        if job.mode == "forced":
            from ccpa.measure.forced import run_forced

            return run_forced(job)
        from ccpa.measure.free import run_free

        return run_free(job)
    except (CcpaError, OSError) as error:
        return Outcome(fixture=job.fixture, run=job.run, error=str(error), where=job.base_url or "")
