"""Edit: one text in a file for another."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from apr.tools import text
from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError
from apr.tools.files import WHOLE, decode, encode, stamp_of
from apr.tools.nearest import hint
from apr.tools.paths import not_found, resolve
from apr.tools.write import create

_COUNTED = 1000
_LISTED = 10
"""Occurrences counted, and those whose lines are named, of a text that should be unique."""


class EditInput(Struct, forbid_unknown_fields=True):
    """What Edit takes."""

    file_path: str
    old_string: Annotated[
        str,
        Meta(description="Exact text of the file, without line numbers; must occur only once"),
    ]
    new_string: str
    replace_all: Annotated[bool, Meta(description="Replace every occurrence")] = False


class Edit:
    """Replaces text in a file that the model has read."""

    name: ClassVar[str] = "Edit"
    description: ClassVar[str] = (
        "Replace old_string by new_string in a file. Read the file first. Copy old_string from it "
        "with its indentation, and with lines around it if it is not unique."
    )
    Input = EditInput
    read_only: ClassVar[bool] = False

    def access(self, call: EditInput, context: Context) -> Access:
        """Write the file."""
        return Access(kind="write", paths=(resolve(call.file_path, context.root),))

    async def run(self, call: EditInput, context: Context) -> Outcome:
        """Replace the text; everything else in the file stays byte for byte."""
        name, path = call.file_path, resolve(call.file_path, context.root)
        if call.old_string == call.new_string:
            raise ToolError("old_string and new_string are the same: there is nothing to change.")
        try:
            before = await context.storage.look(path, name)
        except FileNotFoundError:
            if call.old_string:
                raise not_found(name, path, context.root, context.cwd) from None
            await create(name, call.new_string, context)
            return Outcome(content=f"Created {name}.", files_written=(path,))
        if not call.old_string:
            raise ToolError(f"{name} exists. Give the text to replace as old_string.")
        context.files.check(path, before.stamp, name)
        if before.data is None:
            raise ToolError(f"{name} has more than {WHOLE:,} bytes. Change it with Bash.")
        encoding, body = decode(before.data, name)
        changed, count = substitute(body, call)
        data = encode(encoding, changed, name)
        await context.storage.replace(path, name, data, before)
        context.files.note(path, stamp_of(data))
        times = f" ({count} replacements)" if count > 1 else ""
        return Outcome(content=f"Edited {name}{times}.", files_written=(path,))


def substitute(body: str, call: EditInput) -> tuple[str, int]:
    r"""Return the text with the replacements made, and how many there were.

    The model sees lines that end in `\n`. Where the file has `\r\n`, the text is found all the
    same, what replaces it gets the line ending of its surroundings, and the rest is not touched.

    Raises:
        ToolError: the text to replace is not there, or not unique.
    """
    flat, old = body.replace("\r\n", "\n"), call.old_string.replace("\r\n", "\n")
    if old not in flat:
        advice = hint(flat, old, call.new_string)
        raise ToolError(f"old_string is not in {call.file_path}. {advice}")
    if not call.replace_all:
        _check_unique(flat, old, call.file_path)
    returns = list(_returns(body))
    pieces, end, count = [], 0, 0
    for start in _occurrences(flat, old, step=len(old)):
        count += 1
        # A `\r` before position p of the flat text puts p one further on in the body.
        first = start + bisect_left(returns, start)
        pieces.append(body[end:first])
        end = start + len(old) + bisect_left(returns, start + len(old))
        ending = text.newline(body[first:end]) or text.newline(body)
        pieces.append(text.with_newline(call.new_string, ending))
    return "".join([*pieces, body[end:]]), count


def _occurrences(flat: str, old: str, step: int) -> Iterator[int]:
    """Yield where the text begins. With a step of 1, occurrences that overlap count too."""
    start = flat.find(old)
    while start >= 0:
        yield start
        start = flat.find(old, start + step)


def _returns(body: str) -> Iterator[int]:
    r"""Yield the positions, in the flat text, of the line ends that are `\r\n` in the body."""
    start, count = body.find("\r\n"), 0
    while start >= 0:
        yield start - count
        start, count = body.find("\r\n", start + 2), count + 1


def _check_unique(flat: str, old: str, name: str) -> None:
    starts = list(islice(_occurrences(flat, old, step=1), _COUNTED))
    if len(starts) == 1:
        return
    count = len(starts) if len(starts) < _COUNTED else f"{_COUNTED} or more"
    lines = ", ".join(str(flat.count("\n", 0, start) + 1) for start in starts[:_LISTED])
    more = ", ..." if len(starts) > _LISTED else ""
    raise ToolError(
        f"old_string occurs {count} times in {name} (lines {lines}{more}). "
        "Add lines around it until it is unique, or set replace_all."
    )
