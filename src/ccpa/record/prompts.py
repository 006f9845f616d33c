"""What a person asked, out of what the model was given: agents put their surroundings around it."""

import re
from collections.abc import Sequence

_REMINDER = re.compile(r"\s*<system-reminder>.*?</system-reminder>\s*", re.DOTALL)


def prompt_in(parts: Sequence[str], arguments: Sequence[str]) -> str:
    """Return the prompt that stands in the parts of a message.

    An argument that the agent was started with is the prompt if it is a part, or the last lines of
    one, or if it is more than a word and stands anywhere; of several, in this order, the longest.
    Else the prompt is all of it, less what agents mark as reminders of their own.
    """
    found = []
    for words in filter(None, (argument.strip() for argument in arguments)):
        for part in (part.strip() for part in parts if words in part):
            at_end = part.endswith(f"\n{words}")
            if part == words or at_end or len(words.split()) > 1:
                found.append((part == words, at_end, len(words), words))
    if found:
        return max(found)[-1]
    bare = (_REMINDER.sub("", part) for part in parts)
    return "\n\n".join(part for part in bare if part.strip())
