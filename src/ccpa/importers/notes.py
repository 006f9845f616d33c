"""What an import passed over, and what it had to mark: counted, never fatal."""

from collections import Counter

from msgspec import Struct, field

_DISTINCT = 50
_KEY = 60
OTHER = "others"


class Notes(Struct):
    """Counts of what did not become a record as it stood.

    Args:
        unknown: line, block or message types that the importer does not know, by type.
        skipped: what is known and could not be used, by reason.
        marked: what the format does not hold and the trace needs; a marker stands for it.
    """

    unknown: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    marked: Counter[str] = field(default_factory=Counter)

    def meet(self, what: str, kind: object) -> None:
        """Count something of a type that is not known; hostile input cannot make the list long."""
        name = f"{what} {kind if isinstance(kind, str) else type(kind).__name__}"[:_KEY]
        full = len(self.unknown) >= _DISTINCT and name not in self.unknown
        self.unknown[OTHER if full else name] += 1

    def skip(self, reason: str) -> None:
        """Count something that could not be used."""
        self.skipped[reason] += 1

    def mark(self, reason: str) -> None:
        """Count a place where a marker stands for what the format does not hold."""
        self.marked[reason] += 1

    def add(self, other: "Notes") -> None:
        """Add the counts of another import."""
        self.unknown += other.unknown
        self.skipped += other.skipped
        self.marked += other.marked
