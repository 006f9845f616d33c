"""Byte-level BPE vocabularies with Qwen's markup, made up or given."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import gguf

END_OF_TEXT, END_OF_TURN = "<|endoftext|>", "<|im_end|>"
CONTROL = (END_OF_TEXT, "<|im_start|>", END_OF_TURN)
MARKUP = (
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_VOWELS = "aeiouy"


class Vocabulary(NamedTuple):
    """A byte-level BPE vocabulary. A token's id is its index."""

    tokens: list[str]
    types: list[gguf.TokenType]
    merges: list[str]


def invented(size: int) -> Vocabulary:
    """Return `size` tokens: bytes, what merges make, unused ones, Qwen's markup.

    The merges make pairs of letters, then syllables of two pairs with or without a space before
    them: text comes to about as many tokens as with a vocabulary that was learned.

    Raises:
        ValueError: it is too small for the bytes and the markup.
    """
    alphabet = byte_alphabet()
    least = len(alphabet) + len(CONTROL) + len(MARKUP)
    if size < least:
        raise ValueError(f"--vocab must be at least {least}")
    pairs = list(itertools.islice(_merges(alphabet[0x20]), size - least))
    words = [first + second for first, second in pairs]
    unused = [f"[unused{number}]" for number in range(size - least - len(words))]
    kinds = (
        (alphabet, gguf.TokenType.NORMAL),
        (words, gguf.TokenType.NORMAL),
        (unused, gguf.TokenType.UNUSED),
        (CONTROL, gguf.TokenType.CONTROL),
        (MARKUP, gguf.TokenType.USER_DEFINED),
    )
    return Vocabulary(
        tokens=[token for tokens, _ in kinds for token in tokens],
        types=[kind for tokens, kind in kinds for _ in tokens],
        merges=[f"{first} {second}" for first, second in pairs],
    )


def byte_alphabet() -> list[str]:
    """Return the printable stand-in for each of the 256 bytes, as byte-level BPE spells them."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = itertools.count(0x100)
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def _merges(space: str) -> Iterator[tuple[str, str]]:
    """Yield what is merged, the first first: no two of them make the same token."""
    letters = _LOWER + _LOWER.upper()
    spoken = [
        (first, second)
        for first, second in itertools.product(_LOWER, _LOWER)
        if (first in _VOWELS) != (second in _VOWELS)
    ]
    yield from spoken
    seen = set(spoken)
    yield from (pair for pair in itertools.product(letters, letters) if pair not in seen)
    syllables = [first + second for first, second in spoken]
    yield from itertools.product([space], [*letters, *syllables])
    yield from itertools.product([space + syllable for syllable in syllables], syllables)
    yield from itertools.product(syllables, syllables)


def add_vocabulary(writer: gguf.GGUFWriter, words: Vocabulary) -> None:
    """Add a vocabulary that has Qwen's control tokens, and how Qwen uses them."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    writer.add_token_merges(words.merges)
    writer.add_bos_token_id(words.tokens.index(END_OF_TEXT))
    writer.add_pad_token_id(words.tokens.index(END_OF_TEXT))
    writer.add_eos_token_id(words.tokens.index(END_OF_TURN))
    writer.add_add_bos_token(False)
