"""Sessions on disk: written as they happen, found again, and gone on with."""
