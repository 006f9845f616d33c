"""Files through the editor: what it holds open counts, saved or not, and it writes them itself.

The disk says first what a file is. Text in UTF-8 below the session's folders is the editor's to
give; all else (pictures, other encodings, large files, files elsewhere) is read and written on the
disk as ever, and so is what the editor answers with an error, for that it does not serve. Where it
gives no answer nothing is read, nor written: what stands on the disk may be out of date.
"""

from pathlib import Path

from acp.schema import FileSystemCapabilities

from apr.acp.editor import Editor, EditorFailed, EditorRefused
from apr.acp.folders import Folders
from apr.tools import text
from apr.tools.errors import ToolError
from apr.tools.files import WHOLE, Disk, Snapshot, stamp_of

_MARK = "\ufeff"


class Buffers:
    """The files of one session, as its editor has them; see `Storage`.

    Args:
        editor: who has them.
        session: the session's id.
        folders: what the editor serves, and as what it knows it.
        can: which of the two the editor offers.
    """

    def __init__(
        self, editor: Editor, session: str, folders: Folders, can: FileSystemCapabilities
    ) -> None:
        self._editor = editor
        self._session = session
        self._folders = folders
        self._reads = bool(can.read_text_file)
        # To write what one cannot read would be to write over what is not saved.
        self._writes = self._reads and bool(can.write_text_file)
        self._disk = Disk()
        self._not_served: set[Path] = set()
        self._unsaved: set[Path] = set()
        """What the editor had otherwise than the disk when it was last looked at."""
        self._written: set[Path] = set()
        """What the editor has written for us: it may hold it without a file on the disk."""

    async def look(self, path: Path, name: str) -> Snapshot:
        """Return a file as the editor has it, else as it is on the disk; see `Storage.look`."""
        try:
            saved = await self._disk.look(path, name)
        except FileNotFoundError:
            if path not in self._written:
                raise
            saved = None
        self._unsaved.discard(path)
        known_as = self._folders.shown(path)
        if not self._reads or known_as is None or (saved is not None and not _is_utf8(saved)):
            return _there(saved, name)
        try:
            content = await self._editor.read(self._session, known_as)
        except EditorRefused:
            self._not_served.add(path)
            return _there(saved, name)
        except EditorFailed as error:
            raise ToolError(f"{name} is not read: {error}.") from None
        self._not_served.discard(path)
        data = _as_stored(content, saved)
        if len(data) > WHOLE:
            raise ToolError(f"{name} has more than {WHOLE:,} bytes in the editor.")
        unsaved = saved is None or data != saved.data
        if unsaved:
            self._unsaved.add(path)
        status = saved.status if saved is not None else None
        return Snapshot(data=data, stamp=stamp_of(data), status=status, unsaved=unsaved)

    async def replace(self, path: Path, name: str, data: bytes, before: Snapshot | None) -> None:
        """Have the editor write a file that it serves; see `Storage.replace`."""
        known_as = self._folders.shown(path)
        ours = known_as is None or path in self._not_served or not _is_text(data)
        if not self._writes and path in self._unsaved:
            raise ToolError(f"{name} has changes in the editor that are not saved. Ask for that.")
        if known_as is None or ours or not self._writes:
            await self._disk.replace(path, name, data, before)
            return
        try:
            await self._editor.write(self._session, known_as, data.decode())
        except EditorRefused as error:
            raise ToolError(f"The editor did not write {name}: {error}.") from None
        except EditorFailed as error:
            raise ToolError(f"Whether {name} is written is not known: {error}. Read it.") from None
        self._written.add(path)


def _there(saved: Snapshot | None, name: str) -> Snapshot:
    if saved is None:
        raise FileNotFoundError(name)
    return saved


def _is_utf8(file: Snapshot) -> bool:
    return file.data is not None and _is_text(file.data)


def _is_text(data: bytes) -> bool:
    """Whether an editor that takes text to be UTF-8 has the same in front of it as we."""
    try:
        return text.detect(data).codec == "utf-8"
    except text.NotTextError:
        return False


def _as_stored(content: str, saved: Snapshot | None) -> bytes:
    """Return what would be on the disk were the editor's text saved.

    Editors hold lines without their ending and often without the byte order mark, and put both back
    when they save.
    """
    if saved is None or saved.data is None:
        return content.encode("utf-8", "replace")
    body = saved.data.decode().removeprefix(_MARK)
    if _flat(content) == _flat(body):
        return saved.data
    if "\r\n" not in content:
        content = text.with_newline(content, text.newline(body))
    if saved.data.startswith(_MARK.encode()):
        content = _MARK + content.removeprefix(_MARK)
    return content.encode("utf-8", "replace")


def _flat(content: str) -> str:
    return content.removeprefix(_MARK).replace("\r\n", "\n")
