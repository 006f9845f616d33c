"""When do two files of one type mean the same? One small rule per type.

A rule answers for two contents whose bytes differ. Where it cannot read one of them (it does not
parse, the formatter is missing) they are not the same, and the note says why.
"""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from msgspec import Struct

from ccpa.errors import CcpaError

FORMATTERS: dict[str, tuple[str, ...]] = {
    "black": ("black", "--quiet", "-"),
    "clang-format": ("clang-format", "--assume-filename={path}"),
    "gofmt": ("gofmt",),
    "prettier": ("prettier", "--stdin-filepath={path}"),
    "ruff": ("ruff", "format", "--isolated", "--stdin-filename={path}", "-"),
    "rustfmt": ("rustfmt", "--emit=stdout"),
    "shfmt": ("shfmt", "--filename={path}"),
}
"""Formatters that read stdin and write stdout; `{path}` is the file's name."""

_FORMATTER_TIMEOUT_S = 30.0
_MAX_YAML_DEPTH = 200
"""Far beyond it, libyaml's loader crashes the process; its parser does not."""
# What parsers raise on hostile text: syntax, encoding, depth, size.
_UNREADABLE = (ValueError, SyntaxError, RecursionError, MemoryError, OverflowError)


class Forgive(Struct, frozen=True, kw_only=True):
    """Which differences do not matter; by default those that no reader of the file would see."""

    markdown: bool = True
    """Spaces at the end of lines, and how many newlines end the file."""
    data: bool = True
    """TOML, JSON and YAML: everything but the value they stand for."""
    notebooks: bool = True
    """How a notebook is laid out in its file: texts in one piece or by lines, and ids of cells."""
    python: bool = False
    """Everything but the syntax tree. Comments then do not count."""
    formatters: dict[str, str] = {}
    """By suffix, as `.go`, a formatter of `FORMATTERS`: what it makes equal is equal."""

    def __post_init__(self) -> None:
        for name in self.formatters.values():
            if name not in FORMATTERS:
                known = ", ".join(FORMATTERS)
                raise CcpaError(f"{name!r} is no formatter known here; there are: {known}")


class Verdict(Struct, frozen=True, kw_only=True):
    """What came of it: the rule that was asked, if one was, and why it did not forgive."""

    same: bool
    rule: str = ""
    note: str | None = None


def forgiving_rule(path: str, left: bytes, right: bytes, forgive: Forgive) -> Verdict:
    """Ask the rule for the file's type, if it is to be asked, whether two contents are the same."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in forgive.formatters:
        return _formatted(forgive.formatters[suffix], path, left, right)
    if suffix in (".md", ".markdown") and forgive.markdown:
        return _by("markdown", _markdown, left, right)
    if suffix == ".ipynb" and forgive.notebooks:
        return _by("notebook", lambda content: _value(_notebook(content)), left, right)
    if suffix in _PARSERS and forgive.data:
        return _by("data", lambda content: _value(_PARSERS[suffix](content)), left, right)
    if suffix in (".py", ".pyi") and forgive.python:
        return _by("python", _syntax_tree, left, right)
    return Verdict(same=False)


def _by(rule: str, meaning: Callable[[bytes], object], left: bytes, right: bytes) -> Verdict:
    try:
        return Verdict(same=meaning(left) == meaning(right), rule=rule)
    except _UNREADABLE as error:
        return Verdict(same=False, rule=rule, note=f"cannot be parsed: {error}")


def _markdown(content: bytes) -> list[bytes]:
    """Return the lines without the spaces that end them (of which two would break the line)."""
    return [line.rstrip() for line in content.rstrip().split(b"\n")]


def _syntax_tree(content: bytes) -> str:
    return ast.dump(ast.parse(content))


def _json(content: bytes) -> object:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(made := dict(pairs)) != len(pairs):
            raise ValueError("a key stands twice in an object")
        return made

    return json.loads(content, object_pairs_hook=unique)


def _notebook(content: bytes) -> object:
    """Return a notebook without the ids of its cells, its texts in one piece.

    nbformat allows a text to be a string or a list of its lines; ids are made up by programs.
    """
    notebook = _json(content)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise ValueError("no notebook: it has no list of cells")
    for cell in cells:
        if isinstance(cell, dict):
            cell.pop("id", None)
            _join(cell, "source")
            outputs = cell.get("outputs")
            for output in outputs if isinstance(outputs, list) else []:
                _join(output, "text")
                data = output.get("data") if isinstance(output, dict) else None
                for kind in list(data) if isinstance(data, dict) else []:
                    _join(data, kind)
    return notebook


def _join(holder: Any, key: str) -> None:
    value = holder.get(key) if isinstance(holder, dict) else None
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        holder[key] = "".join(value)


def _toml(content: bytes) -> object:
    return tomllib.loads(content.decode())


def _yaml(content: bytes) -> object:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is not on every machine
    depth = 0
    try:
        for event in yaml.parse(content, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_YAML_DEPTH:
                raise ValueError(f"nested more than {_MAX_YAML_DEPTH} deep")
        return list(yaml.load_all(content, Loader=loader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


_PARSERS: dict[str, Callable[[bytes], object]] = {
    ".json": _json,
    ".toml": _toml,
    ".yaml": _yaml,
    ".yml": _yaml,
}


def _value(value: object) -> bytes:
    """Return a digest that is equal for equal values of equal types: `1` is not `true`, nor `1.0`.

    Raises:
        ValueError: the value contains itself, which YAML allows.
    """
    return _digest(value, {}, set())


def _digest(value: Any, known: dict[int, bytes], open_: set[int]) -> bytes:
    """Digest a value. What is shared is looked at once: YAML's aliases can stand for billions."""
    if not isinstance(value, dict | list | tuple | set):
        return hashlib.sha256(f"{type(value).__name__} {value!r}".encode()).digest()
    if (done := known.get(id(value))) is not None:
        return done
    if id(value) in open_:
        raise ValueError("a value that contains itself")
    open_.add(id(value))
    if isinstance(value, dict):
        pairs = (
            _digest(key, known, open_) + _digest(item, known, open_) for key, item in value.items()
        )
        parts = [b"map", *sorted(pairs)]
    else:
        parts = [_digest(item, known, open_) for item in value]
        parts = [b"set", *sorted(parts)] if isinstance(value, set) else [b"list", *parts]
    open_.remove(id(value))
    known[id(value)] = made = hashlib.sha256(b"".join(parts)).digest()
    return made


def _formatted(name: str, path: str, left: bytes, right: bytes) -> Verdict:
    command = FORMATTERS[name]
    program = shutil.which(command[0])
    if program is None:
        return Verdict(same=False, rule=name, note=f"{name} is not installed")
    arguments = [argument.format(path=PurePosixPath(path).name) for argument in command[1:]]
    # In an empty directory: a formatter must not take plug-ins from the tree it formats.
    with tempfile.TemporaryDirectory(prefix="ccpa-format-") as empty:
        results = []
        for content in (left, right):
            try:
                done = subprocess.run(
                    [program, *arguments],
                    input=content,
                    cwd=empty,
                    env={"PATH": os.environ.get("PATH", os.defpath), "HOME": empty},
                    capture_output=True,
                    check=False,
                    timeout=_FORMATTER_TIMEOUT_S,
                )
            except subprocess.TimeoutExpired:
                return Verdict(same=False, rule=name, note=f"{name} took too long")
            if done.returncode != 0:
                return Verdict(same=False, rule=name, note=f"{name} refuses it")
            results.append(done.stdout)
    return Verdict(same=results[0] == results[1], rule=name)
