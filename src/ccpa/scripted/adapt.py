r"""A recording fitted to another client and another directory.

Tool names: what the caller's table says, if the client offers it; else the recorded name, if
offered; else a name that the same tool is known by. A tool that is offered under none of them keeps
its recorded name, and the client answers that it has no such tool.

Ids: kept where every wire takes them, `[a-zA-Z0-9_-]`, at most 40 characters, no other call of the
script has the same; else made from the conversation and the place of the call.

Paths: a recorded working directory becomes the actual one in the text of answers and in the inputs
of tools, in Bash commands too, where

- it stands alone or is the first segments of a path: `/workspace`, `/workspace/a`, `"/workspace"`,
  `--out=/workspace/a`, `/a:/workspace`, `file:///workspace/a`, `see /workspace.`; never in
  `/workspace2`, `/workspace-old`, `/workspace.bak`, `/srv/workspace`, `./workspace`, `~/workspace`,
  `$HOME/workspace`, `"$HOME"/workspace`, `/workspace\ old`;
- it does not stand in the contents of a file: the inputs `content`, `old_string`, `new_string` and
  `new_source` stay what they are byte for byte, since the final files are compared byte for byte.
  In a heredoc of a Bash command no one can tell contents from paths; there it is replaced.

Thinking stays as it is: its signature covers it. Keys of inputs are never paths.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ccpa.errors import CcpaError
from ccpa.scripted.script import Conversation, Script
from ccpa.trace import AssistantTurn, Block, TextBlock, ToolUseBlock

CONTENTS = frozenset({"content", "old_string", "new_string", "new_source"})
"""Inputs that are the contents of files."""

ALIASES = {
    "Agent": "Task",
    "Task": "Agent",
    "BashOutput": "TaskOutput",
    "TaskOutput": "BashOutput",
    "KillShell": "TaskStop",
    "TaskStop": "KillShell",
}
"""Names that one tool has had in different versions of the teacher."""

_PORTABLE_ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_SHELL_SAFE = re.compile(r"/[\w./:=,@%+-]+")
_BEFORE = r"""(?:(?<=file://)|(?<![\w./~$@%+*?)}-])(?<![\w)}]["']))"""
_AFTER = r"(?=$|/|\.(?![\w.])|[^\w./@%+~\\-]|\\(?! ))"


class Offered(Struct, frozen=True):
    """What a client calls a tool, and those of its inputs that it names otherwise."""

    name: str
    inputs: dict[str, str] = {}


class Adaptation(Struct, frozen=True, kw_only=True):
    """What differs between the recording and the run.

    Args:
        tools: recorded name of a tool -> what the client calls it.
        paths: recorded working directory -> the run's. Absolute.
        names: recorded name of a worktree -> the run's; replaced where it stands as a word.
        contents: replace paths in the contents of files, too.
    """

    tools: Mapping[str, Offered] = {}
    paths: Mapping[str, str] = {}
    names: Mapping[str, str] = {}
    contents: bool = False

    def __post_init__(self) -> None:
        for recorded, actual in self.paths.items():
            if not recorded.startswith("/") or not recorded.strip("/"):
                raise CcpaError(f"{recorded!r} cannot be replaced: not an absolute directory")
            if not _SHELL_SAFE.fullmatch(actual):
                raise CcpaError(
                    f"{actual!r} cannot stand for {recorded!r}: a shell would take it apart where "
                    "a recorded command names it; use an absolute directory without such characters"
                )

    def turn(self, turn: AssistantTurn, offered: Collection[str]) -> AssistantTurn:
        """Return the turn as a client with these tools is to get it."""
        blocks = [self._block(block, offered) for block in turn.blocks]
        return msgspec.structs.replace(turn, blocks=blocks)

    def text(self, text: str) -> str:
        """Return the text with the recorded directories and names replaced."""
        for name, actual_name in self.names.items():
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", actual_name, text)
        if not any(recorded in text for recorded in self._directories()):
            return text
        known = "|".join(re.escape(recorded) for recorded in self._directories())
        actual = {_bare(recorded): _bare(path) for recorded, path in self.paths.items()}
        return re.sub(f"{_BEFORE}(?:{known}){_AFTER}", lambda found: actual[found[0]], text)

    def _directories(self) -> list[str]:
        """Return the recorded directories, longest first: the most exact one is found first."""
        return sorted(map(_bare, self.paths), key=len, reverse=True)

    def _block(self, block: Block, offered: Collection[str]) -> Block:
        match block:
            case TextBlock(text):
                return TextBlock(self.text(text))
            case ToolUseBlock(id_, name, given):
                moved = {key: self._value(key, value) for key, value in given.items()}
                tool = self.tools.get(name)
                if tool is not None and tool.name in offered:
                    renamed = {tool.inputs.get(key, key): value for key, value in moved.items()}
                    return ToolUseBlock(id_, tool.name, renamed)
                if name not in offered and ALIASES.get(name) in offered:
                    name = ALIASES[name]
                return ToolUseBlock(id_, name, moved)
            case _:
                return block

    def _value(self, key: str, value: Any) -> Any:
        if key in CONTENTS and not self.contents:
            return value
        match value:
            case str():
                return self.text(value)
            case list():
                return [self._value("", item) for item in value]
            case dict():
                return {inner: self._value(inner, item) for inner, item in value.items()}
            case _:
                return value


def _bare(path: str) -> str:
    return path.rstrip("/")


def with_portable_ids(script: Script) -> Script:
    """Return the script with ids that every wire takes, each of them one call's alone."""
    seen: set[str] = set()
    return msgspec.structs.replace(
        script,
        conversations=tuple(
            msgspec.structs.replace(conversation, turns=tuple(_with_ids(conversation, seen)))
            for conversation in script.conversations
        ),
    )


def _with_ids(conversation: Conversation, seen: set[str]) -> Iterator[AssistantTurn]:
    for number, turn in enumerate(conversation.turns):
        blocks: list[Block] = []
        for index, block in enumerate(turn.blocks):
            if isinstance(block, ToolUseBlock):
                id_ = block.id
                if id_ in seen or not _PORTABLE_ID.fullmatch(id_):
                    place = f"{conversation.name}/{number}/{index}".encode()
                    id_ = f"call_{hashlib.sha256(place).hexdigest()[:24]}"
                seen.add(id_)
                block = ToolUseBlock(id_, block.name, block.input)
            blocks.append(block)
        yield msgspec.structs.replace(turn, blocks=blocks)
