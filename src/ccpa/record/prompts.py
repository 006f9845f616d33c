"""What a person asked, out of what the model was given: agents put their surroundings around it."""

import re
from collections.abc import Sequence

_REMINDER = re.compile(r"\s*<system-reminder>.*?</system-reminder>\s*", re.DOTALL)


def prompt_in(parts: Sequence[str], arguments: Sequence[str]) -> str:
    """Return the prompt that stands in the parts of a message.

    An argument that the agent was started with, and that stands in a part, is the prompt: rather
    one that is a whole part, or the end of one; then the longest. Else the prompt is all of it,
    less what agents mark as reminders of their own.
    """
    found: list[tuple[bool, bool, int, str]] = []
    for argument in arguments:
        words = argument.strip()
        within = [part.strip() for part in parts if words and words in part]
        if within:
            at_end = any(part.endswith(words) for part in within)
            found.append((words in within, at_end, len(words), words))
    if found:
        return max(found)[-1]
    bare = (_REMINDER.sub("", part) for part in parts)
    return "\n\n".join(part for part in bare if part.strip())
