"""Read, Write, Edit."""

from pathlib import Path
from typing import Any

from ccpa.rerun.bench import Outcome, RefusedError, Workbench, whole_number

LINE_LIMIT = 2000
"""Lines that Read shows where no limit is given."""


def read(bench: Workbench, tool_input: dict[str, Any]) -> Outcome:
    """Number the lines that are asked for."""
    path = bench.path(tool_input, "file_path")
    text = _text(bench, path)
    bench.note(path)
    first = whole_number(tool_input, "offset", 1)
    limit = whole_number(tool_input, "limit", LINE_LIMIT)
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []
    shown = lines[first - 1 : first - 1 + limit]
    content = "\n".join(f"{number}\t{line}" for number, line in enumerate(shown, start=first))
    return Outcome(
        content=content or "(The file is empty, or ends before the first line asked for.)",
        exact=True,
        files_read=(bench.name(path),),
    )


def write(bench: Workbench, tool_input: dict[str, Any]) -> Outcome:
    """Make the file what the input says."""
    path = bench.path(tool_input, "file_path")
    content = tool_input.get("content")
    if not isinstance(content, str):
        raise RefusedError("content is missing.")
    if path.is_dir():
        raise RefusedError(f"{bench.named(path)} is a directory.")
    existed = path.exists()
    if existed:
        bench.require_seen(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    bench.note(path)
    done = "replaced" if existed else "created"
    return Outcome(
        content=f"The file {bench.named(path)} has been {done}.", files_written=(bench.name(path),)
    )


def edit(bench: Workbench, tool_input: dict[str, Any]) -> Outcome:
    """Replace the one occurrence, or all of them."""
    path = bench.path(tool_input, "file_path")
    old, new = tool_input.get("old_string"), tool_input.get("new_string")
    if not isinstance(old, str) or not isinstance(new, str):
        raise RefusedError("old_string and new_string are needed.")
    if old == new:
        raise RefusedError("old_string and new_string are the same.")
    if old == "" and not path.exists():
        return write(bench, {"file_path": tool_input["file_path"], "content": new})
    text = _text(bench, path)
    bench.require_seen(path)
    # Read shows no carriage returns, so a model cannot give them; a file that has them keeps them.
    windows = "\r\n" in text and text.count("\r\n") == text.count("\n")
    if windows:
        text, old, new = (part.replace("\r\n", "\n") for part in (text, old, new))
    count = text.count(old) if old else 0
    if count == 0:
        raise RefusedError(f"old_string was not found in {bench.named(path)}.")
    if count > 1 and not tool_input.get("replace_all"):
        raise RefusedError(
            f"old_string was found {count} times in {bench.named(path)}. "
            "Add lines around it, or set replace_all."
        )
    edited = text.replace(old, new)
    path.write_bytes((edited.replace("\n", "\r\n") if windows else edited).encode())
    bench.note(path)
    return Outcome(
        content=f"The file {bench.named(path)} has been updated.",
        files_written=(bench.name(path),),
    )


def _text(bench: Workbench, path: Path) -> str:
    if path.is_dir():
        raise RefusedError(f"{bench.named(path)} is a directory.")
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise RefusedError(f"{bench.named(path)} does not exist.") from None
    except UnicodeDecodeError:
        raise RefusedError(f"{bench.named(path)} is not text.") from None
