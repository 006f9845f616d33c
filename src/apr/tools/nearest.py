"""Where a text that is not in a file was perhaps meant to be."""

from apr.patterns import Pattern

_SHOWN = 8
"""Lines of the file that are shown."""
_WIDTH = 200
"""Characters of each."""
_LIKENESS = 60
"""Likeness in percent below which two lines have nothing to do with each other."""
_NUMBERED = Pattern(r"^ *\d+\t")


def hint(flat: str, old: str, new: str) -> str:
    """Say how an Edit whose `old` is not in the file's text could be put right."""
    wanted = old.strip("\n").split("\n")
    if all(_NUMBERED.match(line) for line in wanted):
        return "Leave out the line numbers that Read puts before each line."
    lines = flat.split("\n")
    if (at := _but_for_white_space(lines, wanted)) is not None:
        return _show("It is there with other white space", lines, at, len(wanted))
    if _but_for_white_space(lines, new.strip("\n").split("\n")) is not None:
        return "new_string is there already: the edit may have been made before."
    if (at := _most_alike(lines, wanted)) is not None:
        return _show("The nearest text is", lines, at, len(wanted))
    return "Read the file again and copy the text exactly."


def _but_for_white_space(lines: list[str], wanted: list[str]) -> int | None:
    """Return the index of the line where the text begins if white space in lines does not count."""
    text, part = ("\n".join([" ".join(line.split()) for line in part]) for part in (lines, wanted))
    at = f"\n{text}\n".find(f"\n{part}\n") if part.strip() else -1
    return None if at < 0 else text.count("\n", 0, at)


def _most_alike(lines: list[str], wanted: list[str]) -> int | None:
    """Return the index of the line where the text should begin, by its longest line."""
    from rapidfuzz import fuzz, process

    anchor = max(range(len(wanted)), key=lambda index: len(wanted[index].strip()))
    best = process.extractOne(wanted[anchor], lines, scorer=fuzz.ratio, score_cutoff=_LIKENESS)
    return None if best is None else max(best[2] - anchor, 0)


def _show(what: str, lines: list[str], at: int, count: int) -> str:
    shown = range(at, min(at + min(count, _SHOWN), len(lines)))
    numbered = "\n".join(f"{index + 1}\t{lines[index][:_WIDTH]}" for index in shown)
    return f"{what}:\n{numbered}"
