"""What a command runs besides itself: behind `sudo`, `xargs`, `find -exec`, in a shell's script.

To forbid, rather too much is looked at than too little: `everything`. To allow, only what is surely
run, and run as it stands there: `peeled`.
"""

import re
from collections.abc import Iterator

from apr.agent.commands import Simple, dissect

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "rbash"})
_WRAPPERS = {
    # a program that runs what its arguments say, and how many words of its own come before that
    "builtin": 0, "busybox": 0, "chroot": 1, "chrt": 1, "command": 0, "coproc": 0, "doas": 0,
    "env": 0, "exec": 0, "firejail": 0, "flock": 1, "ionice": 0, "ltrace": 0, "nice": 0,
    "nohup": 0, "nsenter": 0, "parallel": 0, "pkexec": 0, "runuser": 0, "setpriv": 0, "setsid": 0,
    "stdbuf": 0, "strace": 0, "sudo": 0, "systemd-run": 0, "taskset": 1, "time": 0, "timeout": 1,
    "toybox": 0, "unshare": 0, "watch": 0, "xargs": 0,
}  # fmt: skip
_FIND_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_DEEPEST = 8
_MOST = 500
"""Commands that are looked at in one text. What nests further is not written by who means well."""

_EXPANSION = re.compile(r"\$\{[^}]*\}|\$\w+|\$[@*#?!$-]")
_BRACES = re.compile(r"\{([^{}\s]*,[^{}\s]*)\}")
_SPACE = re.compile(r"\$\{?IFS\}?")
_DURATION = re.compile(r"\d+(?:\.\d+)?[smhd]?")
_HARMLESS_VARIABLES = re.compile(
    r"(?:LANG|LANGUAGE|LC_[A-Z]+|TZ|NO_COLOR|FORCE_COLOR|CLICOLOR|COLUMNS|LINES|CI|NODE_ENV"
    r"|RUST_BACKTRACE|RUST_LOG|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE)=[\w.:/@,+-]*"
)


def everything(command: str) -> tuple[Simple, ...]:
    """Return every command that a text may run, however deep, and some that it may not."""
    found: list[Simple] = []
    seen: set[str] = set()
    scripts = [(command, 0), (_spaced(command), 0)]
    while scripts and len(found) < _MOST:
        text, depth = scripts.pop()
        if text in seen:
            continue
        seen.add(text)
        parts = dissect(text)
        inside = [one for part in parts.commands for one in _unwrapped(part)]
        found += inside
        if depth < _DEEPEST:
            more = [script for one in inside for script in _scripts(one)]
            if any(program(one) in _SHELLS for one in inside):
                more += parts.inputs
                more += [_joined(one.words[1:]) for one in inside if program(one) in _PRINTERS]
            scripts += [(script, depth + 1) for script in more if script.strip()]
    return tuple(found)


_PRINTERS = frozenset({"echo", "printf"})


def program(simple: Simple) -> str:
    """Return the name of the program, without its folder; "" where it is not known."""
    name = simple.words[0] if simple.words else simple.text.split(maxsplit=1)[0]
    return (name or "").rpartition("/")[2]


def spellings(simple: Simple) -> tuple[str, ...]:
    """Return the texts by which a rule that forbids may know a command."""
    if not simple.words:
        return (simple.text,)
    plain, empty = (
        " ".join(
            word if word is not None else read(simple.written(index))
            for index, word in enumerate(simple.words)
        ).strip()
        for read in (str, _with_nothing)
    )
    named = f"{program(simple)} {plain.partition(' ')[2]}".rstrip()
    return tuple(dict.fromkeys((simple.text, simple.behind(0).text, plain, named, empty)))


def _with_nothing(word: str) -> str:
    """Return a word with its variables empty."""
    return _EXPANSION.sub("", word)


def _spaced(command: str) -> str:
    """Return a text with what bash makes words of, or one word, in ways the grammar does not."""
    joined = command.replace("\\\n", "")  # `cu\` and `rl` on the next line
    listed = _BRACES.sub(lambda match: match[1].replace(",", " "), joined)
    return _SPACE.sub(" ", listed)


def peeled(simple: Simple) -> Iterator[tuple[Simple, bool]]:
    """Yield the command, then what is surely run behind a wrapper, each as a rule may allow it.

    With each goes whether it is run with further arguments, as `xargs` does.
    """
    yield simple, False
    if simple.assigned:
        if not all(_HARMLESS_VARIABLES.fullmatch(one) for one in simple.assigned):
            return
        simple = simple.behind(0)
        yield simple, False
    more = False
    while (index := _own_words(simple)) is not None and index < len(simple.words):
        more = more or simple.words[0] == "xargs"
        simple = simple.behind(index)
        yield simple, more


def _own_words(simple: Simple) -> int | None:
    """Return how many words belong to a wrapper that does nothing else; None: it is none."""
    words = ["\0" if word is None else word for word in simple.words]
    words += ["\0", "\0"]  # what is computed, or missing, is no option and no program
    index = 1
    match words[0]:
        case "timeout" if _DURATION.fullmatch(words[1]):
            index = 2
        case "nice" if words[1] == "-n" and re.fullmatch(r"-?\d+", words[2]):
            index = 3
        case "nice" | "nohup" | "time" | "xargs" | "command":
            pass
        case "stdbuf":
            while re.fullmatch(r"-[ioe][L0-9]\w*", words[index]):
                index += 1
        case "env":
            while _HARMLESS_VARIABLES.fullmatch(words[index]):
                index += 1
        case _:
            return None
    return None if words[index].startswith(("-", "\0")) or "=" in words[index] else index


def _unwrapped(simple: Simple) -> Iterator[Simple]:
    """Yield the command and all that may be a command behind it."""
    waiting, seen = [simple], {simple.text}
    while waiting:
        one = waiting.pop()
        yield one
        for index in _beginnings(one):
            inner = one.behind(index)
            if inner.text not in seen and len(seen) < _MOST:
                seen.add(inner.text)
                waiting.append(inner)


def _beginnings(simple: Simple) -> Iterator[int]:
    """Yield where a command may begin behind this one's program."""
    words = simple.words
    name = program(simple)
    if name == "find":
        yield from (i + 1 for i, w in enumerate(words[:-1]) if w in _FIND_RUNS)
    if name not in _WRAPPERS:
        return
    todo, seen = [(1, _WRAPPERS[name])], set()
    while todo:
        index, own = todo.pop()
        if index >= len(words) or (index, own) in seen:
            continue
        seen.add((index, own))
        word = words[index]
        if word is None and not own:
            todo.append((index + 1, own))  # it may come to nothing
        word = simple.written(index) if word is None else word
        if word.startswith("-") and word != "-":
            todo.append((index + 1, own))
            if word != "--" and "=" not in word:  # it may take the next word as its value
                todo.append((index + 2, own))
        elif re.match(r"\w+=", word):
            todo.append((index + 1, own))
        elif own:
            todo.append((index + 1, own - 1))
        else:
            yield index


def _scripts(simple: Simple) -> Iterator[str]:
    """Yield the texts that a command runs as scripts."""
    name, words = program(simple), simple.words
    if name in _SHELLS or name in {"su", "runuser", "script", "flock"}:
        for index, word in enumerate(words[:-1]):
            if word and (re.fullmatch(r"-\w*c\w*", word) or word == "--command"):
                yield from (_script(simple, at) for at in range(index + 1, len(words)))
    elif name in {"eval", "watch", "parallel"}:
        yield " ".join(_script(simple, index) for index in range(1, len(words)))
    elif name == "trap" and len(words) > 1:
        yield _script(simple, 1)
    elif name == "env":
        for index, word in enumerate(words):
            if word and word.startswith("--split-string="):
                yield word.partition("=")[2]
            elif word in {"-S", "--split-string"} and index + 1 < len(words):
                yield _script(simple, index + 1)
            elif word and word.startswith("-S"):
                yield word[2:]


def _script(simple: Simple, index: int) -> str:
    """Return a word as a script; one that is partly computed, as far as it is written."""
    word = simple.words[index]
    return word if word is not None else simple.written(index).strip("\"'")


def _joined(words: "Iterator[str | None] | tuple[str | None, ...]") -> str:
    return " ".join(word for word in words if word is not None)
