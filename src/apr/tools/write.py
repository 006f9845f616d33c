"""Write: a file with the content given."""

from typing import ClassVar

from msgspec import Struct

from apr.tools import text
from apr.tools.base import Access, Context, Outcome
from apr.tools.files import Snapshot, decode, encode, stamp_of
from apr.tools.paths import explain, resolve


class WriteInput(Struct, forbid_unknown_fields=True):
    """What Write takes."""

    file_path: str
    content: str


class Write:
    """Creates a file, or replaces one that the model has read."""

    name: ClassVar[str] = "Write"
    description: ClassVar[str] = (
        "Create a file, or replace all of a file you have read. To change a part, use Edit."
    )
    Input = WriteInput
    read_only: ClassVar[bool] = False

    def access(self, call: WriteInput, context: Context) -> Access:
        """Write the file."""
        return Access(kind="write", paths=(resolve(call.file_path, context.root),))

    async def run(self, call: WriteInput, context: Context) -> Outcome:
        """Write it, with the folders it needs."""
        name, path = call.file_path, resolve(call.file_path, context.root)
        try:
            before = await context.storage.look(path, name)
        except FileNotFoundError:
            await create(name, call.content, context)
            return Outcome(content=f"Created {name}.", files_written=(path,))
        context.files.check(path, before.stamp, name)
        data = _in_the_style_of(before, call.content, name)
        await context.storage.replace(path, name, data, before)
        context.files.note(path, stamp_of(data))
        return Outcome(content=f"Replaced {name}.", files_written=(path,))


async def create(name: str, content: str, context: Context) -> None:
    """Make a new UTF-8 file, with the folders it needs, and note it as seen.

    Raises:
        ToolError: it cannot be made.
    """
    path = resolve(name, context.root)
    data = encode(text.Encoding(), content, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, name) from None
    await context.storage.replace(path, name, data, None)
    context.files.note(path, stamp_of(data))


def _in_the_style_of(before: Snapshot, content: str, name: str) -> bytes:
    """Encode as the file was, and with its line endings, which Read does not show the model."""
    if before.data is None:
        return encode(text.Encoding(), content, name)
    encoding, body = decode(before.data, name)
    if "\r\n" not in content:
        content = text.with_newline(content, text.newline(body))
    return encode(encoding, content, name)
