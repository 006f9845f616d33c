"""Which conversation a request goes on with, told by digests of everything it begins with.

A `Chain` has a link for each part of a prompt in order: the tools, the system prompt, each message.
Each link stands for its part and for all before it, so two prompts begin alike as far as their
links are equal. Links are made of what a client sees of an answer. So the exact text of an answer,
which the client never saw, can be remembered under its link, and put back where it returns.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from apr.providers.base import AssistantMessage, Message, Request, ToolMessage, UserMessage
from ccpa.trace import Block, TextBlock, ToolUseBlock

_DIGEST_BYTES = 16
_OVERHEAD = 400
"""Bytes that a remembered answer takes beside its text."""
_PROMPT_PART = 2048
"""Characters of a bare prompt that have a link of their own."""

_encoder = msgspec.json.Encoder(order="sorted")


class Chain(Struct, frozen=True):
    """The links of a prompt, and the bytes of prompt that each of them and all before it hold."""

    links: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()

    def shared(self, other: "Chain") -> int:
        """Return how many links this prompt begins with in common with the other."""
        count = 0
        for ours, theirs in zip(self.links, other.links, strict=False):
            if ours != theirs:
                break
            count += 1
        return count

    def goes_on(self, other: "Chain") -> bool:
        """Whether this prompt begins with all of the other."""
        return bool(other.links) and self.shared(other) == len(other.links)

    @property
    def whole(self) -> int:
        """The bytes of all parts."""
        return self.size(len(self.links))

    def size(self, links: int) -> int:
        """Return the bytes of the first `links` parts."""
        return self.sizes[links - 1] if links else 0

    def extended(self, part: bytes) -> "Chain":
        """Return the chain with a further part."""
        seed = self.links[-1].encode() if self.links else b""
        link = hashlib.blake2b(seed + b"\0" + part, digest_size=_DIGEST_BYTES).hexdigest()
        return Chain((*self.links, link), (*self.sizes, self.whole + len(part)))


def chain(parts: Iterable[bytes]) -> Chain:
    """Return the chain of a prompt's parts."""
    made = Chain()
    links, sizes = [], []
    for part in parts:
        made = Chain(made.links[-1:], made.sizes[-1:]).extended(part)
        links.append(made.links[-1])
        sizes.append(made.sizes[-1])
    return Chain(tuple(links), tuple(sizes))


def chain_of(request: Request) -> Chain:
    """Return the chain of a request."""
    return chain([*_front(request), *map(_part, request.messages)])


def chain_of_body(body: dict[str, Any]) -> Chain:
    """Return the chain of a chat completions body that is passed on as it is."""
    front = {name: body.get(name) for name in ("tools", "chat_template_kwargs")}
    return chain([_encoder.encode(part) for part in ["chat", front, *body["messages"]]])


def chain_of_prompt(prompt: str) -> Chain:
    """Return the chain of a bare prompt."""
    pieces = range(0, len(prompt), _PROMPT_PART)
    return chain([b"prompt", *(_encoder.encode(prompt[at : at + _PROMPT_PART]) for at in pieces)])


def answer_link(asked: Chain, blocks: Sequence[Block]) -> str:
    """Return the link of an answer to the prompt with this chain."""
    return asked.extended(_answer(blocks)).links[-1]


class Answers:
    """The exact text of recent answers, in `limit` bytes of memory (of ASCII)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._raw: OrderedDict[str, str] = OrderedDict()

    def remember(self, link: str, raw: str) -> None:
        """Remember the text of the answer with this link."""
        earlier = self._raw.pop(link, None)
        self._size += len(raw) + _OVERHEAD - (0 if earlier is None else len(earlier) + _OVERHEAD)
        self._raw[link] = raw
        while self._size > self._limit:
            _, oldest = self._raw.popitem(last=False)
            self._size -= len(oldest) + _OVERHEAD

    def of(self, links: Iterable[str]) -> dict[str, str]:
        """Return the texts of those answers that are remembered."""
        return {link: self._raw[link] for link in links if link in self._raw}

    def restored(self, request: Request, asked: Chain) -> Request:
        """Return the request with the exact text of those of its answers that are remembered."""
        links = asked.links[len(asked.links) - len(request.messages) :]
        pairs = zip(request.messages, links, strict=True)
        messages = tuple(self._restored(message, link) for message, link in pairs)
        return msgspec.structs.replace(request, messages=messages)

    def _restored(self, message: Message, link: str) -> Message:
        if not isinstance(message, AssistantMessage) or link not in self._raw:
            return message
        self._raw.move_to_end(link)
        return AssistantMessage(message.blocks, self._raw[link])


def _front(request: Request) -> list[bytes]:
    """Return the parts before the messages."""
    kwargs = request.options.get("chat_template_kwargs")
    return [_encoder.encode([request.tools, kwargs]), _encoder.encode(request.system)]


def _part(message: Message) -> bytes:
    match message:
        case UserMessage(text, images):
            return _encoder.encode(["user", text, images])
        case AssistantMessage(blocks):
            return _answer(blocks)
        case ToolMessage(answers):
            return _encoder.encode(["tool", [(a.content, a.ok) for a in answers]])


def _answer(blocks: Sequence[Block]) -> bytes:
    """Return an answer as far as every client gives it back: without reasoning, ids and margins."""
    text = "".join(block.text for block in blocks if isinstance(block, TextBlock)).strip()
    calls = [(block.name, block.input) for block in blocks if isinstance(block, ToolUseBlock)]
    return _encoder.encode(["assistant", text, calls])
