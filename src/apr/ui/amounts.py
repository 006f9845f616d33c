"""Bytes, counts and times as people read them."""


def size(count: float) -> str:
    """Return bytes in decimal units: `18.6 GB`, `1.5 MB`, `312 bytes`."""
    for unit, of_it in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= of_it:
            return f"{count / of_it:.1f} {unit}"
    return f"{count:.0f} bytes"


def number(count: float) -> str:
    """Return a large number in words: `30.5 billion`, `735 thousand`, `12`."""
    for word, of_it in (("billion", 1e9), ("million", 1e6), ("thousand", 1e3)):
        if count >= of_it:
            return f"{count / of_it:.3g} {word}"
    return f"{count:.0f}"


def duration(seconds: float) -> str:
    """Return a time as `0:09`, `12:30` or `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def ago(seconds: float) -> str:
    """Return how long ago something was: `just now`, `5 min ago`, `3 h ago`, `2 days ago`."""
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86_400:
        return f"{seconds // 3600:.0f} h ago"
    days = int(seconds // 86_400)
    return f"{days} day{'' if days == 1 else 's'} ago"
