"""One answer in HTTP/1.1, read from bytes as they come. httptools, which is llhttp, does the work.

It is in C: h11 took a tenth of the start of `apr code` to import, and longer for each token.
"""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

LARGEST_HEAD = 64 * 1024
"""Bytes of a head, and of what else stands between two pieces of a body."""


class HttpAnswer:
    """What has come of an answer. The parser calls `on_...` with its parts."""

    def __init__(self) -> None:
        self.status = 0
        """0 until the head is there."""
        self.headers: dict[str, str] = {}
        """Names in lower case."""
        self.body: list[bytes] = []
        """The pieces that nobody has taken yet."""
        self.done = False
        self.reusable = False
        """Whether the server will have another request, once this is done."""
        self.wrong: str | None = None
        """What the server does that ends the answer early: the rest of a sentence about it."""
        self._parser = HttpResponseParser(self)
        self._apart = 0

    def feed(self, data: bytes) -> None:
        """Take what came, b"" for the end of the connection."""
        if not data:
            self._end()
            return
        self._apart += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._say("it changes to another protocol")
        except HttpParserError as error:
            self._say(error)
        if self._apart > LARGEST_HEAD:
            self._say(f"more than {LARGEST_HEAD} bytes of headers")

    def take(self) -> bytes:
        """Return what of the body has come since the last time."""
        body = b"".join(self.body)
        self.body.clear()
        return body

    def _end(self) -> None:
        if self.status and not self.headers.keys() & {"content-length", "transfer-encoding"}:
            self.done = True
        else:
            self.wrong = "broke off in the middle of an answer"

    def _say(self, what: object) -> None:
        if self.done:  # it is of what came behind the answer
            self.reusable = False
        else:
            self.wrong = f"does not speak HTTP/1.1 as it should ({what})"

    def on_message_begin(self) -> None:
        """Behind an answer that is done: one that nobody has asked for."""
        self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; those behind a body do not matter here."""
        if not self.status:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """A head is there: the answer's, or that of a word in advance, such as 100 Continue."""
        status = self._parser.get_status_code()
        if self.done:
            return
        if status >= 200:
            self.status, self._apart = status, 0
        elif status >= 100:
            self.headers.clear()
        else:
            self._say(f"a status of {status}")

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self.done:
            self.body.append(data)
            self._apart = 0

    def on_message_complete(self) -> None:
        """The answer is at its end, or what came in advance of it is."""
        if self.status:
            self.reusable = not self.done and self._parser.should_keep_alive()
            self.done = True
