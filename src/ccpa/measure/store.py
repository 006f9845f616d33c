"""The file of results: SQLite, a row a run, written as soon as the run is done.

Schema 1 (`PRAGMA user_version`), for whoever reads it with other tools:

- `measurement`: `id`, `started` (RFC 3339, UTC), `plan` (JSON), `identity` (what runs that may
  stand together have in common).
- `run`: key (`measurement`, `fixture`, `run`); `outcome` is the JSON of everything but the trace,
  `trace` the student's trace, compressed with zlib. The other columns repeat from the outcome what
  one sorts and filters by.
"""

import datetime
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from ccpa.errors import CcpaError
from ccpa.measure.outcome import Outcome
from ccpa.measure.plan import Plan, RunKey

DATABASE = Path("ccpa-runs.sqlite")
"""Where results go unless told otherwise."""
SCHEMA_VERSION = 1
_BUSY_S = 30.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS measurement (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started TEXT NOT NULL,
    identity BLOB NOT NULL,
    plan BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS run (
    measurement INTEGER NOT NULL REFERENCES measurement (id) ON DELETE CASCADE,
    fixture TEXT NOT NULL,
    run INTEGER NOT NULL,
    score REAL,
    success INTEGER,
    error TEXT,
    elapsed_s REAL NOT NULL,
    outcome BLOB NOT NULL,
    trace BLOB NOT NULL,
    PRIMARY KEY (measurement, fixture, run)
) STRICT, WITHOUT ROWID;
"""


class Measurement(Struct, frozen=True):
    """A measurement in the file. `runs` counts those that are done, `errors` those that broke."""

    id: int
    started: str
    plan: Plan
    runs: int
    errors: int


class Store:
    """An open file of results; `open_store` makes it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection

    def begin(self, plan: Plan) -> int:
        """Enter a new measurement and return its id."""
        now = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds")
        row = (now[:-6] + "Z", plan.identity, msgspec.json.encode(plan))
        cursor = self._db.execute(
            "INSERT INTO measurement (started, identity, plan) VALUES (?, ?, ?)", row
        )
        return int(cursor.lastrowid or 0)

    def unfinished(self, plan: Plan) -> int | None:
        """Return the newest measurement that runs of this plan may be added to."""
        row = self._db.execute(
            "SELECT max(id) FROM measurement WHERE identity = ?", (plan.identity,)
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def done(self, measurement: int) -> set[RunKey]:
        """Return the runs that need not be done again: all that are evidence."""
        rows = self._db.execute(
            "SELECT fixture, run FROM run WHERE measurement = ? AND error IS NULL", (measurement,)
        )
        return {(fixture, run) for fixture, run in rows}

    def add(self, measurement: int, outcome: Outcome) -> None:
        """Keep a run. One that broke before is replaced."""
        success = None if outcome.success is None else int(outcome.success)
        trace = zlib.compress(outcome.trace)
        rest = msgspec.json.encode(msgspec.structs.replace(outcome, trace=b""))
        row = (measurement, outcome.fixture, outcome.run, outcome.score, success, outcome.error)
        self._db.execute(
            "INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, outcome.elapsed_s, rest, trace),
        )

    def outcomes(self, measurement: int, *, runs: int | None = None) -> list[Outcome]:
        """Return the runs in order of fixture and number, up to `runs` of each, without traces."""
        rows = self._db.execute(
            "SELECT outcome FROM run WHERE measurement = ? AND run <= ? ORDER BY fixture, run",
            (measurement, runs or 2**62),
        )
        return [msgspec.json.decode(data, type=Outcome) for (data,) in rows]

    def trace(self, measurement: int, fixture: str, run: int) -> bytes:
        """Return the trace of a run.

        Raises:
            CcpaError: there is no such run.
        """
        row = self._db.execute(
            "SELECT trace FROM run WHERE measurement = ? AND fixture = ? AND run = ?",
            (measurement, fixture, run),
        ).fetchone()
        if row is None:
            raise CcpaError(
                f"{self.path}: no run {run} of {fixture!r} in measurement {measurement}"
            )
        return zlib.decompress(row[0])

    def measurements(self) -> list[Measurement]:
        """Return all measurements, the oldest first."""
        rows = self._db.execute(
            "SELECT id, started, plan, count(run.fixture), count(run.error) FROM measurement "
            "LEFT JOIN run ON run.measurement = measurement.id GROUP BY id ORDER BY id"
        )
        return [
            Measurement(id_, started, msgspec.json.decode(plan, type=Plan), runs, errors)
            for id_, started, plan, runs, errors in rows
        ]

    def measurement(self, id_: int) -> Measurement:
        """Return one of them.

        Raises:
            CcpaError: there is no such measurement.
        """
        found = next((one for one in self.measurements() if one.id == id_), None)
        if found is None:
            raise CcpaError(
                f"{self.path}: no measurement {id_}; `ccpa runs --db {self.path}` lists them"
            )
        return found


@contextmanager
def open_store(path: Path, *, create: bool = False) -> Iterator[Store]:
    """Open a file of results.

    Raises:
        CcpaError: it does not exist (and is not to be created), is no such file, was made by a
            newer version, or cannot be written.
    """
    if not create and not path.is_file():
        raise CcpaError(f"{path}: no such file; `ccpa measure --db {path}` makes it")
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            _prepare(path, connection)
            yield Store(path, connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise CcpaError(f"{path}: cannot be used for results: {error}") from None


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if version == 0 and tables == 0:
        connection.execute("PRAGMA journal_mode = WAL")
        # One transaction: whoever opens the file meanwhile sees all of it or nothing.
        connection.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
    elif version == 0:
        raise CcpaError(f"{path}: an SQLite file of something else; name another with --db")
    elif version != SCHEMA_VERSION:
        raise CcpaError(
            f"{path}: has schema {version}, this ccpa knows {SCHEMA_VERSION}: "
            "use the version of ccpa that made it, or another file"
        )
