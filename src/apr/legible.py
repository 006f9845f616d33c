"""Names that the system gives us, made fit to be written down."""


def legible(text: str) -> str:
    """Return text that UTF-8 can hold.

    Arguments and file names are bytes. Python decodes those that the locale has no character for
    into surrogate escapes, which open a file but can neither be printed nor sent. Here they are
    read as UTF-8, and U+FFFD stands for what is none, also for other halves of characters.
    """
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
