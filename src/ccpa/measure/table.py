"""A measurement as a table, for other programs: CSV, and Parquet where pyarrow is installed."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ccpa.errors import CcpaError
from ccpa.measure.outcome import Outcome

COLUMNS: tuple[tuple[str, type], ...] = (
    ("fixture", str),
    ("run", int),
    ("error", str),
    ("score", float),
    ("recall", float),
    ("precision", float),
    ("same_files", bool),
    ("success", bool),
    ("checks_passed", int),
    ("checks", int),
    ("decisions_same", int),
    ("decisions", int),
    ("drifts", int),
    ("tokens_sent", int),
    ("tokens_cached", int),
    ("tokens_generated", int),
    ("elapsed_s", float),
    ("where", str),
)
"""Names and types. None stands for what a run does not have."""


def rows(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return a row for each run, with the values of `COLUMNS` by name."""
    return [
        {
            "fixture": one.fixture,
            "run": one.run,
            "error": one.error,
            "score": one.score,
            "recall": one.recall,
            "precision": one.precision,
            "same_files": one.same_files,
            "success": one.success,
            "checks_passed": sum(check.passed for check in one.checks),
            "checks": len(one.checks),
            "decisions_same": sum(decision.same for decision in one.decisions),
            "decisions": len(one.decisions),
            "drifts": sum(one.drifts.values()),
            "tokens_sent": one.tokens.sent,
            "tokens_cached": one.tokens.cached,
            "tokens_generated": one.tokens.generated,
            "elapsed_s": one.elapsed_s,
            "where": one.where,
        }
        for one in outcomes
    ]


def write_csv(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write CSV as RFC 4180 has it, UTF-8, with a line of names; None is an empty field.

    Raises:
        CcpaError: the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [name for name, _ in COLUMNS])
            writer.writeheader()
            writer.writerows(rows(outcomes))
    except OSError as error:
        raise CcpaError(f"{path}: cannot be written: {error.strerror}") from None


def write_parquet(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write a Parquet file with the types of `COLUMNS`.

    Raises:
        CcpaError: pyarrow is not installed, or the file cannot be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise CcpaError(
            "Parquet needs pyarrow: pip install 'apr-code[parquet]' (CSV needs nothing)"
        ) from None
    kinds = {
        str: pyarrow.string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS])
    try:
        parquet.write_table(pyarrow.Table.from_pylist(rows(outcomes), schema=schema), path)
    except OSError as error:
        raise CcpaError(f"{path}: cannot be written: {error}") from None
