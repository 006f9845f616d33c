"""Is this a trace? Every line a record, and the records together a session that could have been.

`check` reads a stream once, in constant memory, and in blocks of many lines: what msgspec decodes
in one go, and what encoding it again confirms, needs no closer look. Other blocks are taken line by
line, and a line that is no record goes to `ccpa.validate.shape`, which finds all that is wrong.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any, BinaryIO, Literal

import msgspec
from msgspec import Struct

from ccpa.trace import MAX_LINE_BYTES, SessionStart, record_type
from ccpa.validate import formats, repeats, shape
from ccpa.validate.lines import blocks
from ccpa.validate.sense import Session

_BOM = b"\xef\xbb\xbf"
# What msgspec raises on hostile bytes: DecodeError and UnicodeDecodeError are ValueErrors; the
# others come from deep nesting, and from integers too large to be encoded again.
_UNREADABLE = (ValueError, RecursionError, OverflowError)

_decoders: dict[int, msgspec.json.Decoder[Any]] = {
    version: msgspec.json.Decoder(record_type(version)) for version in (2, 3)
}
_encoder = msgspec.json.Encoder()


class Problem(Struct, frozen=True):
    """One fault. `field` is a JSON path from the record; `$` is the line as a whole."""

    line: int
    field: str
    message: str


class Report(Struct, kw_only=True):
    """What was found. Of `problem_count` faults, `problems` lists the first."""

    records: int = 0
    problem_count: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    cut: bool = False
    """The trace ends in the middle of a line, which `prefix` accepts."""

    @property
    def valid(self) -> bool:
        """Nothing was found."""
        return self.problem_count == 0


def check(
    stream: BinaryIO,
    *,
    version: Literal[2, 3] | None = None,
    prefix: bool = False,
    max_problems: int | None = None,
) -> Report:
    """Check the trace that a stream holds.

    Args:
        stream: read to its end, or as far as it can be.
        version: what every record must conform to; None for what the trace's start says, and the
            superset, 3, where it says nothing.
        prefix: accept a trace that stops anywhere, as a crash leaves it.
        max_problems: how many faults to list; None for all.

    Raises:
        OSError: the stream could not be read.
    """
    checker = _Checker(version, prefix, max_problems)
    for block in blocks(stream):
        checker.take(block)
    checker.session.finish(checker.line)
    return checker.report


class _Checker:
    """The state of one check."""

    def __init__(
        self, version: Literal[2, 3] | None, prefix: bool, max_problems: int | None
    ) -> None:
        self.report = Report()
        self.session = Session(self.tell, prefix=prefix)
        self.line = 0
        self.prefix = prefix
        self.max_problems = max_problems
        self.version: Literal[2, 3] = version or 3
        self.version_open = version is None
        self.carriage_return_told = False

    def tell(self, line: int, field: str, message: str) -> None:
        report = self.report
        report.problem_count += 1
        if self.max_problems is None or len(report.problems) < self.max_problems:
            report.problems.append(Problem(line, field, message))

    def take(self, block: bytes | None) -> None:
        """Check the next lines; None is a line too long to hold."""
        if block is None:
            self.line += 1
            limit = f"{MAX_LINE_BYTES // 2**20} MiB"
            self.tell(self.line, "$", f"longer than {limit}, which no record may be")
            self.session.lose(None, self.line)
            return
        if self.line == 0:
            first, newline, block = block.partition(b"\n")
            self._first_line(first, ended=bool(newline))
        if not self._take_at_once(block):
            lines = block.split(b"\n")
            last = lines.pop()
            for line in lines:
                self._take_line(line)
            if last:
                self._take_line(last, ended=False)

    def _take_at_once(self, block: bytes) -> bool:
        """Take the block if its lines are records that need no closer look; else leave it be."""
        try:
            records = _decoders[self.version].decode_lines(block)
            again = _encoder.encode_lines(records)
        except _UNREADABLE:
            return False
        # What the encoder would write is in order; so are other forms of it, once counted.
        if again != block and not (
            _has_one_value_a_line(block, len(records)) and repeats.surely_none(block, again)
        ):
            return False
        line, take = self.line, self.session.take
        for record in records:
            line += 1
            take(record, line)
        self.line = line
        self.report.records += len(records)
        return True

    def _first_line(self, line: bytes, *, ended: bool) -> None:
        """Take the line that says which version the rest is in."""
        if line.startswith(_BOM):
            line = line.removeprefix(_BOM)
            self.tell(1, "$", "begins with a byte order mark, which JSON must not (RFC 8259, 8.1)")
        record = self._take_line(line, ended=ended)
        if isinstance(record, SessionStart) and self.version_open and record.schema_version == 2:
            self.version = 2
            # Saying which version it is: that, only version 3 can do.
            said, _ = shape.parse(line)
            del said["schema_version"]
            self._tell_all(shape.faults(said, 2))

    def _take_line(self, line: bytes, *, ended: bool = True) -> Any:
        r"""Check one line, without its `\n`, and return its record, or None where it is none."""
        self.line += 1
        if line.endswith(b"\r"):
            line = line[:-1]
            if not self.carriage_return_told:
                self.carriage_return_told = True
                self.tell(self.line, "$", "ends in CR LF (this is told once); a trace has LF")
        if not line.strip():
            self.tell(self.line, "$", "a blank line")
            return None
        try:
            record = _decoders[self.version].decode(line)
            repeated = not _surely_no_repeats(line, record) and repeats.any_in(line)
        except _UNREADABLE as error:
            self._take_unreadable(line, error, ended=ended)
            return None
        if repeated:
            self._tell_all(shape.parse(line)[1])
        self.report.records += 1
        self.session.take(record, self.line)
        return record

    def _take_unreadable(self, line: bytes, error: Exception, *, ended: bool) -> None:
        if self.prefix and not ended and _is_cut(line, error):
            self.report.cut = True
            return
        try:
            value, faults = shape.parse(line)
        except ValueError as reason:
            self.tell(self.line, "$", str(reason))
            self.session.lose(None, self.line)
            return
        told = self._tell_all(chain(faults, shape.faults(value, self.version)))
        if not told:  # only the decoder objects: to a number beyond all range
            self.tell(self.line, "$", str(error))
        record = shape.salvage(value, told, self.version)
        if record is None:
            self._lose(value)
        else:
            self.session.take(record, self.line)

    def _lose(self, value: Any) -> None:
        """Go on after a value that leaving something out does not make a record."""
        kind = shape.kind_of(value)
        if kind is not None:
            self._tell_all(formats.faults(kind, value.get))
        self.session.lose(kind, self.line)

    def _tell_all(self, faults: Iterable[shape.Fault]) -> list[shape.Fault]:
        """Tell all faults of this line, and return some: of a hostile line there are millions."""
        first: list[shape.Fault] = []
        for field, message in faults:
            self.tell(self.line, field, message)
            if len(first) < shape.SALVAGEABLE:
                first.append((field, message))
        return first


def _has_one_value_a_line(block: bytes, values: int) -> bool:
    r"""Say whether each line of a block, decoded to so many objects, holds exactly one of them.

    Inside of a JSON value, `}` is never followed by `{` without a comma, so where every line starts
    with `{` and ends in `}`, each begins and ends with an object; and there are as many as lines.
    """
    return (
        block.startswith(b"{")
        and block.endswith(b"}\n")
        and values == block.count(b"\n") == block.count(b"}\n{") + 1
    )


def _surely_no_repeats(line: bytes, record: Any) -> bool:
    try:
        return repeats.surely_none(line, _encoder.encode(record))
    except (RecursionError, OverflowError):
        return False


def _is_cut(line: bytes, error: Exception) -> bool:
    """Say whether bytes that were refused with this error may be the beginning of a record."""
    at_the_end = f"(byte {len(line)})"  # where it stops inside a number
    return line.startswith(b"{") and (
        str(error) == "Input data was truncated" or str(error).endswith(at_the_end)
    )
