"""Things by name, some of which are made only when somebody asks for them.

What a session may come to use but mostly does not, need not be imported before its first request.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


class Later(Mapping[str, T]):
    """What is there, and what can be made: in this order, and of one name what is there.

    To ask whether there is a name makes nothing. What is made is not kept: a maker that should make
    one thing only does so itself (`functools.cache`).

    Args:
        there: by name, what is there.
        makers: by name, what makes it.
    """

    def __init__(self, there: Mapping[str, T], makers: Mapping[str, Callable[[], T]]) -> None:
        self._there = there
        self._makers = makers
        self._names = dict.fromkeys([*there, *makers])

    def __getitem__(self, name: str) -> T:
        return self._there[name] if name in self._there else self._makers[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
