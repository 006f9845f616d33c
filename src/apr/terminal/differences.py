"""What an edit changes, as people read differences: numbered lines, the changed words marked."""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from apr.errors import AprError
from apr.terminal.cells import folded, isolated, line_width, untabbed
from apr.terminal.highlight import highlighted
from apr.terminal.ink import Line, Run
from apr.tools import text
from apr.tools.base import Tool, ToolError
from apr.tools.edit import Edit, EditInput, substitute
from apr.tools.files import decode, look
from apr.tools.inputs import parse
from apr.tools.notebook_edit import NotebookEdit, NotebookEditInput
from apr.tools.paths import resolve
from apr.tools.write import Write, WriteInput
from apr.ui.terminal import plain
from ccpa.trace import ToolUseBlock

CONTEXT = 3
"""Lines that stand around a change."""
_CAREFUL = 400
"""Lines up to which they are matched as a person would, rather than by the shortest script."""
_LARGEST = 400_000_000
"""Pairs of lines beyond which nothing is matched: all of it is replaced."""
_ROWS = 12
"""Rows of the screen that one line may take."""
_TOOLS: tuple[Tool[Any], ...] = (Edit(), Write(), NotebookEdit())
_WORD = re.compile(r"\w+|\s+|[^\w\s]")

Opcode = tuple[str, int, int, int, int]


class Change(Struct, frozen=True, kw_only=True):
    """What an edit would make of a text."""

    name: str
    """The file, by which its language is known."""
    before: list[str] | None
    """Its lines; None where there is no such file."""
    after: list[str]
    notes: tuple[str, ...] = ()
    """What the lines do not show."""


class Row(Struct, frozen=True):
    """One line of a difference. Without a number it stands for lines left out."""

    sign: Literal["+", "-", " ", ""]
    number: int | None
    line: Line


def change(call: ToolUseBlock, root: Path) -> Change | None:
    """Return what a call would change, as the files are now; None if that cannot be told."""
    tool = next((tool for tool in _TOOLS if tool.name == call.name), None)
    if tool is None:
        return None
    try:
        match parse(tool, call.input):
            case EditInput() as given:
                return _edit(given, root)
            case WriteInput() as given:
                return _write(given, root)
            case NotebookEditInput() as given:
                return _notebook(given, root)
    except (ToolError, AprError, OSError, ValueError, RecursionError):
        pass
    return None


def _edit(given: EditInput, root: Path) -> Change:
    try:
        body = _body(given.file_path, root)
        if body is None:
            return _new(given.file_path, given.new_string)
        after, _ = substitute(body, given)
    except (ToolError, AprError) as error:  # it will be refused; so much can be shown
        return Change(
            name=given.file_path,
            before=_lines(given.old_string),
            after=_lines(given.new_string),
            notes=(str(error),),
        )
    return _changed(given.file_path, body, after)


def _write(given: WriteInput, root: Path) -> Change:
    try:
        body = _body(given.file_path, root)
    except (ToolError, AprError) as error:
        return Change(
            name=given.file_path, before=None, after=_lines(given.content), notes=(str(error),)
        )
    if body is None:
        return _new(given.file_path, given.content)
    after = given.content
    if "\r\n" not in after:
        after = text.with_newline(after, text.newline(body))
    return _changed(given.file_path, body, after)


def _notebook(given: NotebookEditInput, root: Path) -> Change | None:
    body = _body(given.notebook_path, root)
    whole = json.loads(body or "{}")
    found = whole.get("cells") if isinstance(whole, dict) else None
    cells = [cell for cell in found if isinstance(cell, dict)] if isinstance(found, list) else []
    cell: dict[str, Any] = next(
        (c for c in cells if given.cell_id is not None and c.get("id") == given.cell_id), {}
    )
    number = re.fullmatch(r"(?:cell-)?(\d{1,9})", given.cell_id or "")
    if not cell and number is not None and int(number[1]) < len(cells):
        cell = cells[int(number[1])]
    source = cell.get("source", "")
    source = "".join(source) if isinstance(source, list) else str(source)
    kind = given.cell_type or str(cell.get("cell_type", "code"))
    name = "cell.md" if kind == "markdown" else "cell.py"
    match given.edit_mode:
        case "insert":
            where = f"a new cell behind {given.cell_id}" if given.cell_id else "a new first cell"
            return Change(
                name=name, before=None, after=_lines(given.new_source), notes=(f"{where} ({kind})",)
            )
        case "delete":
            note = f"the cell {given.cell_id} is deleted"
            return Change(name=name, before=_lines(source), after=[], notes=(note,))
    return Change(
        name=name,
        before=_lines(source),
        after=_lines(given.new_source),
        notes=(f"the cell {given.cell_id} ({kind})",),
    )


def _body(name: str, root: Path) -> str | None:
    """Return a file's text; None where there is no file.

    Raises:
        ToolError: it is no text, or must not be read.
    """
    try:
        found = look(resolve(name, root), name)
    except FileNotFoundError:
        return None
    if found.data is None:
        raise ToolError(f"{name} is too large to be compared: {found.size:,} bytes.")
    return decode(found.data, name)[1]


def _new(name: str, content: str) -> Change:
    notes = ("line ends are '\\r\\n'",) if "\r\n" in content else ()
    return Change(name=name, before=None, after=_lines(content), notes=notes)


def _changed(name: str, before: str, after: str) -> Change:
    notes = []
    if text.newline(before) != text.newline(after) and text.newline(after) is not None:
        notes.append(f"line ends become {text.newline(after)!r}")
    elif _of_both_kinds(before) != _of_both_kinds(after):
        notes.append("some line ends change between '\\n' and '\\r\\n'")
    if after and before.endswith("\n") != after.endswith("\n"):
        ends = "ends" if after.endswith("\n") else "does not end"
        notes.append(f"the last line {ends} in a line end now")
    return Change(name=name, before=_lines(before), after=_lines(after), notes=tuple(notes))


def _of_both_kinds(body: str) -> int:
    """Return how many lines end otherwise than most do."""
    windows = body.count("\r\n")
    return min(windows, body.count("\n") - windows)


def _lines(body: str) -> list[str]:
    lines = body.replace("\r\n", "\n").split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def counts(made: Change) -> tuple[int, int]:
    """Return how many lines come, and how many go."""
    script = [code for code in _script(made.before or [], made.after) if code[0] != "equal"]
    return sum(code[4] - code[3] for code in script), sum(code[2] - code[1] for code in script)


def rows(made: Change) -> Iterator[Row]:
    """Yield the lines of a difference: of a new file all, else what changes and what is around."""
    if made.before is None:
        shown = highlighted(made.after[:_CAREFUL], made.name)
        further = ([("", line)] for line in made.after[_CAREFUL:])
        for number, line in enumerate((*shown, *further), 1):
            yield Row("+", number, line)
        return
    last = 0
    for group in _groups(_script(made.before, made.after)):
        if last and group[0][3] > last:
            yield Row("", None, [("dim", "⋯")])
        last = group[-1][4]
        for code in group:
            yield from _rows_of(code, made.before, made.after)


def _rows_of(code: Opcode, before: Sequence[str], after: Sequence[str]) -> Iterator[Row]:
    tag, old, old_end, new, new_end = code
    if tag == "equal":
        for at in range(new, new_end):
            yield Row(" ", at + 1, [("", after[at])])
        return
    gone: list[Line] = [[("ansired", line)] for line in before[old:old_end]]
    come: list[Line] = [[("ansigreen", line)] for line in after[new:new_end]]
    if len(gone) == len(come) and len(gone) <= _CAREFUL:
        for at in range(len(gone)):
            gone[at], come[at] = _marked(before[old + at], after[new + at])
    for at, line in enumerate(gone):
        yield Row("-", old + at + 1, line)
    for at, line in enumerate(come):
        yield Row("+", new + at + 1, line)


def _marked(before: str, after: str) -> tuple[Line, Line]:
    """Return two lines with what differs marked, where they are alike enough for that to help."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    if max(len(old), len(new)) > 200:
        return [("ansired", before)], [("ansigreen", after)]
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < 0.4:
        return [("ansired", before)], [("ansigreen", after)]
    gone: Line = []
    come: Line = []
    for tag, i, j, k, m in matcher.get_opcodes():
        mark = "" if tag == "equal" else " reverse"
        gone.append((f"ansired{mark}", "".join(old[i:j])))
        come.append((f"ansigreen{mark}", "".join(new[k:m])))
    return gone, come


def _script(before: Sequence[str], after: Sequence[str]) -> list[Opcode]:
    """Return how one list of lines becomes the other: what is equal and what is replaced."""
    start, end = 0, 0
    most = min(len(before), len(after))
    while start < most and before[start] == after[start]:
        start += 1
    while end < most - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    script: list[Opcode] = [("equal", 0, start, 0, start)] if start else []
    script += [(t, i + start, j + start, k + start, m + start) for t, i, j, k, m in _core(old, new)]
    if end:
        script.append(("equal", len(before) - end, len(before), len(after) - end, len(after)))
    return script


def _core(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    if not old and not new:
        return []
    if not old or not new or len(old) * len(new) > _LARGEST:
        return [("replace", 0, len(old), 0, len(new))]
    if max(len(old), len(new)) <= _CAREFUL:
        return [*difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()]
    from rapidfuzz.distance import Indel

    return [
        (code.tag, code.src_start, code.src_end, code.dest_start, code.dest_end)
        for code in Indel.opcodes(old, new)
    ]


def _groups(script: Sequence[Opcode]) -> Iterator[list[Opcode]]:
    """Yield the changes that stand near each other, with the lines around them."""
    group: list[Opcode] = []
    for at, (tag, old, old_end, new, new_end) in enumerate(script):
        if tag != "equal":
            group.append((tag, old, old_end, new, new_end))
            continue
        size = old_end - old
        after = min(size, CONTEXT) if group else 0
        before = min(size, CONTEXT) if at + 1 < len(script) else 0
        if group and before and size <= after + before:
            group.append((tag, old, old_end, new, new_end))
            continue
        if group:
            group.append((tag, old, old + after, new, new + after))
            yield group
        group = [(tag, old_end - before, old_end, new_end - before, new_end)] if before else []
    if any(code[0] != "equal" for code in group):
        yield group


def drawn(made: Change, columns: int, most: int | None = None) -> tuple[list[Line], int]:
    """Return the rows of a difference as lines, and how many are left out.

    Args:
        made: the difference.
        columns: those there are.
        most: the rows, which are then bounded too; None for all of it.
    """
    lines: list[Line] = [[("dim", plain(note))] for note in made.notes]
    digits = len(str(max(len(made.before or []), len(made.after), 1)))
    left_out = cut_short = 0
    for count, row in enumerate(rows(made)):
        if most is None:
            lines += _drawn(row, digits, columns)
        elif count < most:
            shown = list(_drawn(row, digits, columns))
            lines += shown[:_ROWS]
            if len(shown) > _ROWS:
                hidden = sum(len(text) for line in shown[_ROWS:] for _, text in line[1:])
                lines.append([("dim", f"{'':{digits + 2}}… +{hidden:,} characters of this line")])
                cut_short += 1
        else:
            left_out += 1
    return lines, left_out or cut_short


def _drawn(row: Row, digits: int, columns: int) -> Iterator[Line]:
    """Yield a row as lines that fit."""
    number = "" if row.number is None else str(row.number)
    first: Run = ("dim", f"{number:>{digits}} ")
    colour = {"+": "ansigreen", "-": "ansired"}.get(row.sign, "")
    shown: Line = [(style, isolated(untabbed(plain(part)))) for style, part in row.line]
    room = columns - digits - 2
    lines = [shown] if line_width(shown) <= room else list(folded(shown, room))
    for at, line in enumerate(lines):
        before = [first, (colour, row.sign)] if at == 0 else [("", " " * (digits + 2))]
        yield [*before, *line]
