"""Jobs on a Ray cluster. Nothing but this module knows of Ray, which is imported when it is used.

A fixture travels with its first job as an archive, so machines need no common file system: only
this package, installed, and a way to the model's server.
"""

import io
import socket
import tarfile
import tempfile
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import msgspec

from ccpa.errors import CcpaError
from ccpa.measure.outcome import Outcome
from ccpa.measure.plan import Job
from ccpa.measure.pool import ATTEMPTS, Work, lost

_PATIENCE_S = 10.0


class RayPool:
    """A pool on the cluster at `address`: `auto`, `ray://HOST:10001`, `HOST:6379`, or `local`.

    Args:
        address: as `ray.init` takes it.
        size: jobs at a time; None: one for each of the cluster's processors.
    """

    def __init__(self, address: str, size: int | None) -> None:
        self._address = address
        self._size = size

    def run(self, work: Work, jobs: Iterable[Job]) -> Generator[Outcome, None, None]:
        """Do the jobs; see `Pool`.

        Raises:
            CcpaError: Ray is not installed, or there is no cluster.
        """
        ray = _connected(self._address)
        try:
            yield from _run(ray, work, jobs, self._size)
        finally:
            ray.shutdown()


def _connected(address: str) -> Any:
    try:
        import ray
    except ImportError:
        raise CcpaError("--ray needs Ray: pip install 'apr-code[ray]'") from None
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise CcpaError(f"no Ray cluster at {address!r}: {error}") from None
    return ray


def _knock(address: str) -> None:
    """Fail at once where nobody listens: Ray itself would try for minutes.

    Raises:
        OSError: nobody does.
    """
    host, colon, port = address.rpartition("//")[2].rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S).close()


def _run(
    ray: Any, work: Work, jobs: Iterable[Job], size: int | None
) -> Generator[Outcome, None, None]:
    # Ray begins a task again whose worker or machine is lost.
    remote = ray.remote(max_retries=ATTEMPTS - 1)(_elsewhere)
    room = size or max(1, int(ray.cluster_resources().get("CPU", 1)))
    archives: dict[str, Any] = {}
    running: dict[Any, Job] = {}
    waiting = iter(jobs)
    try:
        while True:
            while len(running) < room and (job := next(waiting, None)) is not None:
                if job.directory not in archives:
                    archives[job.directory] = ray.put(packed(Path(job.directory)))
                running[remote.remote(work, job, archives[job.directory])] = job
            if not running:
                return
            (reference,), _ = ray.wait(list(running), num_returns=1)
            yield _outcome(ray, reference, running.pop(reference))
    finally:
        for reference in running:
            ray.cancel(reference)


def _outcome(ray: Any, reference: Any, job: Job) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayTaskError:
        raise  # a defect of ours, as it would be in this process
    except ray.exceptions.RayError:
        return lost(job)
    return outcome


def _elsewhere(work: Work, job: Job, archive: bytes) -> Outcome:
    """Do a job on a machine of the cluster."""
    with tempfile.TemporaryDirectory(prefix="ccpa-fixture-") as scratch:
        directory = Path(scratch) / job.fixture  # a fixture is named after its directory
        unpack(archive, directory)
        return work(msgspec.structs.replace(job, directory=str(directory)))


def packed(directory: Path) -> bytes:
    """Return a directory as a tar archive.

    Raises:
        CcpaError: a file in it cannot be read.
    """
    archive = io.BytesIO()
    try:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(directory, arcname=".")
    except OSError as error:
        raise CcpaError(f"{directory}: cannot be sent: {error}") from None
    return archive.getvalue()


def unpack(archive: bytes, directory: Path) -> None:
    """Make a directory from what `packed` has returned."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="tar")
