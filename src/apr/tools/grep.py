"""Grep: lines or files that match a regular expression."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from apr.tools import output, ripgrep
from apr.tools.base import Access, Context, Outcome
from apr.tools.errors import ToolError
from apr.tools.paths import kind, not_found, resolve

LINES = 250
"""Lines of output where no `head_limit` is given."""
_LINE = 500
"""Columns shown of a matching line."""
_ANY = frozenset({"*", "**", "**/*"})
"""Globs that say nothing, and would make rg look into ignored files."""

Lines = Annotated[int, Meta(ge=0)]


class GrepInput(Struct, forbid_unknown_fields=True, kw_only=True):
    """What Grep takes; the short names are those of ripgrep."""

    pattern: Annotated[str, Meta(description="Regular expression; escape literal ( ) [ { . * + ?")]
    path: Annotated[str, Meta(description="File or folder; default: the project")] | None = None
    glob: Annotated[str, Meta(description='Only files like "*.py"')] | None = None
    type: Annotated[str, Meta(description="Only files of a type, as py or js")] | None = None
    output_mode: Annotated[
        Literal["content", "files_with_matches", "count"],
        Meta(description="content: lines; default: files_with_matches"),
    ] = "files_with_matches"
    after: Annotated[Lines, Meta(description="Lines after")] | None = msgspec.field(
        name="-A", default=None
    )
    before: Annotated[Lines, Meta(description="Lines before")] | None = msgspec.field(
        name="-B", default=None
    )
    around: Annotated[Lines, Meta(description="Lines around")] | None = msgspec.field(
        name="-C", default=None
    )
    numbers: Annotated[bool, Meta(description="Line numbers; default true")] = msgspec.field(
        name="-n", default=True
    )
    ignore_case: Annotated[bool, Meta(description="Ignore case")] = msgspec.field(
        name="-i", default=False
    )
    only_matching: Annotated[bool, Meta(description="Only the matching part")] = msgspec.field(
        name="-o", default=False
    )
    head_limit: Annotated[Lines, Meta(description=f"Default {LINES}; 0: no limit")] = LINES
    offset: Annotated[Lines, Meta(description="Lines to skip")] = 0
    multiline: Annotated[bool, Meta(description="Let matches span lines")] = False


class Grep:
    """Searches file contents with ripgrep."""

    name: ClassVar[str] = "Grep"
    description: ClassVar[str] = (
        "Search file contents with ripgrep. Lists files unless output_mode says otherwise."
    )
    Input = GrepInput
    read_only: ClassVar[bool] = True

    def access(self, call: GrepInput, context: Context) -> Access:
        """Read the file or folder."""
        return Access(kind="read", paths=(resolve(call.path or ".", context.root),))

    async def run(self, call: GrepInput, context: Context) -> Outcome:
        """Search."""
        name = call.path or "."
        where = resolve(name, context.root)
        what = kind(where, name)
        if what is None:
            raise not_found(name, where, context.root, context.cwd)
        if what not in ("a file", "a directory"):  # rg would wait for a pipe
            raise ToolError(f"{name} is {what}, not a file or folder.")
        last = call.offset + call.head_limit if call.head_limit else None
        found = await ripgrep.search(
            [*arguments(call), *ripgrep.without(context.hidden), *_target(where, context.root)],
            folder=context.root,
            lines=last,
        )
        return _outcome(found, call)


def arguments(call: GrepInput) -> list[str]:
    """Return the call as arguments of `rg`, all but where to search."""
    given = ["--sort=path", "--with-filename", "--no-heading", f"--regexp={call.pattern}"]
    if call.ignore_case:
        given.append("--ignore-case")
    if call.multiline:
        given += ["--multiline", "--multiline-dotall"]
    if call.glob and call.glob not in _ANY:
        given.append(f"--glob={call.glob}")
    if call.type:
        given.append(f"--type={call.type}")
    if call.output_mode == "files_with_matches":
        return [*given, "--files-with-matches"]
    if call.output_mode == "count":
        return [*given, "--count"]
    given += [f"--max-columns={_LINE}", "--max-columns-preview"]
    given.append("--line-number" if call.numbers else "--no-line-number")
    for option, lines in (("-A", call.after), ("-B", call.before), ("-C", call.around)):
        if lines is not None:
            given.append(f"{option}{lines}")
    return [*given, "--only-matching"] if call.only_matching else given


def _target(where: Path, root: Path) -> list[str]:
    """Return what to search, so that rg prints it relative to the root where it is inside.

    rg searches the folder it is run in if it is told nothing, and prints it without a `./`.
    """
    if where == root:
        return []
    return ["--", str(where.relative_to(root) if where.is_relative_to(root) else where)]


def _outcome(found: ripgrep.Found, call: GrepInput) -> Outcome:
    """Cut the page out of what was found, and say what it leaves out."""
    page = found.lines[call.offset :]
    notes = []
    if not page:
        notes.append("[no matches]" if not call.offset else "[no matches after the offset]")
    if found.cut:
        shown = call.offset + len(page)
        notes.append(f"[there are more: set offset to {shown}, or use a narrower pattern or path]")
    if found.unreadable:
        notes.append("[some files could not be read]")
    capture = output.Capture()
    capture.feed("\n".join(page))
    kept = capture.take()
    return Outcome(
        content="\n".join([kept.text, *notes] if page else notes),
        truncated=kept.truncated,
        full_sha256=kept.sha256,
    )
