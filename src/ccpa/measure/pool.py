"""Many jobs at once, and the results as they come."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from multiprocessing import connection, get_all_start_methods, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Protocol

from msgspec import Struct

from ccpa.measure.outcome import Outcome
from ccpa.measure.plan import Job

Work = Callable[[Job], Outcome]

ATTEMPTS = 3
"""How often a job is begun whose worker is lost every time."""
_PATIENCE_S = 10.0


class Pool(Protocol):
    """Something that does jobs. Where they are done makes no difference to what comes of them."""

    def run(self, work: Work, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Do every job, in any order, and yield each outcome when it is there.

        `work` is a function of a module, that workers can import. A job whose worker is lost is
        begun again, `ATTEMPTS` times in all; then its outcome is an error. When the iterator is
        closed, what is running is ended.
        """
        ...


def lost(job: Job) -> Outcome:
    """Return the outcome of a job that took its workers with it."""
    error = f"its worker was lost {ATTEMPTS} times: killed, perhaps for want of memory"
    return Outcome(fixture=job.fixture, run=job.run, error=error, where=job.base_url or "")


class LocalPool:
    """Jobs in processes on this machine.

    A worker that is told to end, or whose parent has died, ends the agent that it has started.
    """

    def __init__(self, size: int) -> None:
        self._size = size

    def run(self, work: Work, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Do the jobs; see `Pool`."""
        waiting = iter(jobs)
        workers: list[_Worker] = []
        try:
            for job in waiting:
                workers.append(_start(work, job))
                if len(workers) == self._size:
                    break
            while workers:
                ready = connection.wait([worker.pipe for worker in workers])
                for worker in [one for one in workers if one.pipe in ready]:
                    job, outcome = worker.job, _result(worker)
                    workers.remove(worker)
                    if outcome is None and worker.attempt < ATTEMPTS:
                        workers.append(_start(work, job, worker.attempt + 1))
                        continue
                    if (following := next(waiting, None)) is None:
                        _end([worker])
                    else:
                        workers.append(_go_on(worker, work, following))
                    yield outcome or lost(job)
        finally:
            _end(workers)


class _Worker(Struct):
    process: BaseProcess
    pipe: Connection
    job: Job
    attempt: int


def _start(work: Work, job: Job, attempt: int = 1) -> _Worker:
    # Not forked from here: the progress display has threads, and a worker must not hold open the
    # pipes of others, lest it miss its parent's death. A fork server has neither, and is fast.
    forks = "forkserver" in get_all_start_methods()
    context = get_context("forkserver") if forks else get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()
    ours.send(job)
    return _Worker(process, ours, job, attempt)


def _go_on(worker: _Worker, work: Work, job: Job) -> _Worker:
    """Give a worker its next job, or another one if it is gone."""
    try:
        worker.pipe.send(job)
    except OSError:
        _end([worker])
        return _start(work, job)
    worker.job, worker.attempt = job, 1
    return worker


def _result(worker: _Worker) -> Outcome | None:
    """Return what a worker has sent; None if it is gone."""
    try:
        outcome: Outcome = worker.pipe.recv()
    except (EOFError, OSError):
        _end([worker])
        return None
    return outcome


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.pipe.close()
        worker.process.terminate()
    for worker in workers:
        worker.process.join(_PATIENCE_S)
        worker.process.kill()


def _serve(pipe: Connection, work: Work) -> None:
    """Do jobs until there are no more: the life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        while True:
            pipe.send(work(pipe.recv()))
    except (EOFError, BrokenPipeError):
        pass  # there is nothing more to do, or nobody to do it for
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # on its way out already


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(1)  # an exception: agents are ended and scratch directories removed on its way out


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
