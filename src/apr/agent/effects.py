"""What a well-known command reads and changes, by its words alone.

Only options that are listed are known: with any other, nothing is known of the command. So a new
option of a program can make a command need consent, and never the other way round.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Effects(Struct, frozen=True):
    """The files a command names, resolved. It touches no others but those below them."""

    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    below: bool = False
    """Whether it reads also what is in the folders it names."""


class _Form(Struct, frozen=True):
    """The options a program may have: letters, letters that take a value, long names."""

    flags: str = ""
    valued: str = ""
    long: str = ""
    own: int = 0
    """How many of its arguments come first that are no paths: a pattern."""
    paths: bool = True
    """Whether its arguments are paths at all."""
    below: bool = False
    """Whether it reads folders to their ground."""


_READERS = {
    "ls": _Form("1aAbBcCdfFgGhHiklLmnNopqQrRsStTuUvwxXZ", "IwT", "all almost-all color recursive "
                "human-readable size sort time reverse directory classify", below=True),
    "cat": _Form("AbeEnstTuv", long="number number-nonblank squeeze-blank show-all"),
    "head": _Form("qvz0123456789", "nc", "lines bytes quiet silent verbose"),
    "tail": _Form("qvz0123456789", "nc", "lines bytes quiet silent verbose"),
    "wc": _Form("clmLw", long="lines words bytes chars max-line-length"),
    "stat": _Form("Lt", "c", "format printf dereference terse"),
    "file": _Form("bhiLN", long="brief mime mime-type dereference"),
    "du": _Form("abchHklLmsSx", "d", "all human-readable summarize max-depth total", below=True),
    "cut": _Form("sz", "dfbc", "delimiter fields bytes characters", own=0),
    "diff": _Form("abBcEiNpqrsuwy", "UCW", "unified brief recursive ignore-all-space "
                  "ignore-case color side-by-side", below=True),
    "cmp": _Form("bls", "n"),
    "sort": _Form("bdfgghiMnrRsuVz", "kt", "reverse numeric-sort unique key"),
    "nl": _Form("p", "bhfvinlsw"),
    "md5sum": _Form("bt"), "sha1sum": _Form("bt"), "sha256sum": _Form("bt"),
    "readlink": _Form("efmnsvz"), "realpath": _Form("emLPqsz"),
    "tree": _Form("adDfFghilnpsStuv", "LIP", "dirsfirst noreport", below=True),
    "grep": _Form("EFGPiIvwxyclLqsobHhnTUZar0123456789", "emABC", "regexp ignore-case "
                  "invert-match word-regexp line-regexp count files-with-matches "
                  "files-without-match max-count only-matching quiet no-messages line-number "
                  "with-filename no-filename include exclude exclude-dir recursive "
                  "extended-regexp fixed-strings perl-regexp context after-context "
                  "before-context color text", own=1, below=True),
    "rg": _Form("ialnNHIcoqsSvwxFPU0", "egtTABCmjMr", "regexp ignore-case case-sensitive "
                "smart-case fixed-strings word-regexp line-regexp invert-match count "
                "count-matches files-with-matches files-without-match line-number "
                "no-line-number with-filename no-filename glob iglob type type-not context "
                "after-context before-context max-count max-depth hidden no-ignore files json "
                "stats sort sortr color heading no-heading only-matching multiline quiet "
                "trim vimgrep replace pcre2", own=1, below=True),
    "echo": _Form(paths=False),
    "which": _Form("as", paths=False), "type": _Form("atpP", paths=False),
    "uname": _Form("asnrvmpio", paths=False), "whoami": _Form(paths=False),
    "id": _Form("ugGnr", paths=False), "nproc": _Form(long="all", paths=False),
    "basename": _Form("az", "s", paths=False), "dirname": _Form("z", paths=False),
    "tr": _Form("cCdst", paths=False), "seq": _Form("w", "sf", paths=False),
    "date": _Form("uR", "d", "date utc rfc-3339", paths=False),
    "pwd": _Form("LP", paths=False), "true": _Form(paths=False), "false": _Form(paths=False),
}  # fmt: skip
_EDITORS = {
    "mkdir": _Form("pv", "m", "parents verbose mode"),
    "rmdir": _Form("pv", long="parents verbose"),
    "touch": _Form("acm", long="no-create"),
    "rm": _Form("dfrRv", long="force recursive dir verbose"),
    "mv": _Form("fnv", long="force no-clobber verbose"),
    "cp": _Form("fnpuv", long="force no-clobber update verbose"),
}
_SED_SHOWS = re.compile(r"(?:\d+|\$)(?:,(?:\d+|\$))?p")
_FIND_WORDS = _words(
    "-print -print0 -not -o -or -a -and ! ( ) -empty -prune -mount -xdev -depth -readable"
)
_FIND_VALUED = _words(
    "-name -iname -path -ipath -type -maxdepth -mindepth -size -mtime -mmin -regex -iregex "
    "-perm -user -group -newer"
)

_GIT_READS = _words(
    "status diff log show blame ls-files ls-tree rev-parse rev-list describe shortlog cat-file "
    "grep merge-base name-rev count-objects"
)
_GIT_LISTS = {
    # those that change something but with these words and no others
    "branch": _words("-a -r -v -vv -l --all --remotes --list --show-current --verbose"),
    "tag": frozenset({"-l", "--list", "-n"}),
    "remote": frozenset({"-v", "--verbose"}),
    "stash": frozenset({"list"}),
    "worktree": frozenset({"list", "--porcelain"}),
}
_GIT_RUNS = (
    # git takes these also cut short: `--outp=x`
    "output", "ext-diff", "open-files-in-pager", "textconv", "filters", "no-index", "contents",
    "file", "git-dir", "work-tree", "exec-path", "exclude-from", "exclude-per-directory", "stdin",
    "batch", "batch-check", "batch-command", "ignore-revs-file", "paginate", "show-signature",
)  # fmt: skip


def effects(words: Sequence[str | None], folders: Sequence[Path]) -> Effects | None:
    """Return what a command reads and changes; None where that is not known.

    `folders` are those that it may be run in: a relative name is resolved against each.
    """
    known = [word for word in words if word is not None]
    if not known or len(known) != len(words):
        return None
    name, given = known[0], known[1:]
    if name == "git":
        return _git(given, folders)
    if name == "find":
        return _find(given, folders)
    if name == "sed":
        quiet = len(given) >= 2 and given[0] == "-n" and _SED_SHOWS.fullmatch(given[1])
        if not quiet or any(one.startswith("-") for one in given[2:]):
            return None
        return Effects(reads=_resolved(given[2:], folders))
    if name in _READERS:
        return _reader(name, given, folders)
    return _editor(name, given, folders) if name in _EDITORS else None


def _reader(name: str, given: list[str], folders: Sequence[Path]) -> Effects | None:
    form = _READERS[name]
    if name == "echo":
        return Effects()
    taken = _arguments(given, form)
    if taken is None:
        return None
    plain, options = taken
    if name == "date" and any(not one.startswith("+") for one in plain):
        return None  # it would set the clock
    if not form.paths:
        return Effects()
    pattern_given = name in {"grep", "rg"} and options & {"e", "regexp"}
    own = 0 if pattern_given or "files" in options else form.own
    paths = plain[own:]
    if form.below and not paths:
        paths = ["."]
    return Effects(reads=_resolved(paths, folders), below=form.below)


def _editor(name: str, given: list[str], folders: Sequence[Path]) -> Effects | None:
    taken = _arguments(given, _EDITORS[name])
    if taken is None or not taken[0]:
        return None
    paths = taken[0]
    writes = _resolved(paths, folders) + _named(paths, folders)
    if name in {"mv", "cp"}:
        if len(paths) < 2:
            return None
        target = paths[-1]
        inside = [os.path.join(target, Path(one).name) for one in paths[:-1]]  # noqa: PTH118
        writes += _resolved(inside, folders)
    if name == "cp":
        sources = _resolved(paths[:-1], folders)
        return Effects(reads=sources, writes=writes)
    return Effects(writes=writes)


def _find(given: list[str], folders: Sequence[Path]) -> Effects | None:
    count = next((i for i, w in enumerate(given) if w[:1] in {"-", "(", "!"}), len(given))
    rest = iter(given[count:])
    for word in rest:
        if word in _FIND_VALUED:
            if next(rest, None) is None:
                return None
        elif word not in _FIND_WORDS:
            return None
    return Effects(reads=_resolved(given[:count] or ["."], folders), below=True)


def _git(given: list[str], folders: Sequence[Path]) -> Effects | None:
    if given[:1] == ["--no-pager"]:
        given = given[1:]
    if not given:
        return None
    verb, rest = given[0], given[1:]
    if verb in _GIT_LISTS:
        return Effects() if _GIT_LISTS[verb].issuperset(rest) and _lists(verb, rest) else None
    if verb not in _GIT_READS:
        return None
    options = [
        one for one in rest[: (rest.index("--") if "--" in rest else None)] if one[:1] == "-"
    ]
    if any(_git_runs(verb, one) for one in options):
        return None
    # With a path outside of the repository, `git diff` compares any two files.
    paths = [one for one in rest if one[:1] != "-"]
    names_only = verb in {"status", "ls-files", "rev-parse", "describe", "merge-base", "name-rev"}
    return Effects(reads=_resolved([".", *paths], folders), below=not names_only)


def _lists(verb: str, rest: list[str]) -> bool:
    return bool(rest) or verb not in {"stash", "worktree"}


def _git_runs(verb: str, option: str) -> bool:
    """Whether an option makes git run or write something, or read what is named to it."""
    if option.startswith("--"):
        name = option[2:].partition("=")[0]
        return bool(name) and any(word.startswith(name) for word in _GIT_RUNS)
    return (
        option[1:2] == "O"
        or (verb == "grep" and bool({"f", "O"} & set(option)))
        or (verb in {"blame", "ls-files"} and option[1:2] in {"S", "X"})
    )


def _arguments(given: list[str], form: _Form) -> tuple[list[str], set[str]] | None:
    """Return the arguments that are no options, and the options; None with an unknown one."""
    plain: list[str] = []
    options: set[str] = set()
    long = form.long.split()
    rest = iter(given)
    for word in rest:
        if word == "--":
            plain += rest
        elif word.startswith("--"):
            name, _, _ = word[2:].partition("=")
            if name not in long:
                return None
            options.add(name)
            if name == "regexp" and "=" not in word and next(rest, None) is None:
                return None
        elif word.startswith("-") and word != "-":
            for at, letter in enumerate(word[1:], 2):
                options.add(letter)
                if letter in form.valued:
                    if at == len(word) and next(rest, None) is None:
                        return None
                    break
                if letter not in form.flags:
                    return None
        else:
            plain.append(word)
    return plain, options


def _resolved(names: Sequence[str], folders: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(
        Path(os.path.realpath(folder / name)) for folder in folders for name in names if name != "-"
    )


def _named(names: Sequence[str], folders: Sequence[Path]) -> tuple[Path, ...]:
    """Return the names themselves, links not followed: `rm` and `mv` change the link."""
    return tuple(
        Path(os.path.realpath((folder / name).parent), Path(name).name)
        for folder in folders
        for name in names
    )
