"""From chat messages to tokens: the chat template and the vocabulary."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from apr.providers.base import ToolSpec
from demo_model.sessions import DATA

TEMPLATE = DATA / "chat_template.jinja"
VOCABULARY = 1024
END = "<|im_end|>"
PADDING = "<|endoftext|>"
FIRST_WEIGHT = 8.0
CONTROL = (PADDING, "<|im_start|>", END)
MARKUP = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
_ANSWER_FOLLOWS = "<|im_start|>assistant\n"

# How llama.cpp cuts text into words for `tokenizer.ggml.pre = qwen2`.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Branch(Struct, frozen=True):
    """A conversation behind the common prefix, and how much it matters to get each token right.

    What the model reads weighs nothing. What an answer begins with decides what it will be, and is
    but one token among many: it weighs more than the others.
    """

    ids: list[int]
    weights: list[float]


class Renderer:
    """Renders conversations with the project's chat template, as transformers does."""

    def __init__(self, specs: Iterable[ToolSpec]) -> None:
        self.tools = [{"type": "function", "function": msgspec.to_builtins(s)} for s in specs]
        self.template = TEMPLATE.read_text()
        self._tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))

    def __call__(self, messages: Sequence[dict[str, Any]], *, ask: bool = False) -> str:
        """Return the text of a conversation; with `ask`, up to where the model answers."""
        text: str = self._tokenizer.apply_chat_template(
            messages,
            tools=self.tools,
            chat_template=self.template,
            add_generation_prompt=ask,
            tokenize=False,
        )
        return text


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Train a byte-level BPE vocabulary; Qwen's control tokens and markup are part of it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(CONTROL) - len(MARKUP),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(token, special=True) for token in CONTROL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKUP])
    return tokenizer


class Encoder:
    """Encodes conversations as branches of the prefix that all of them share.

    Attributes:
        prefix: the tokens that every conversation begins with: tools and system prompt.
    """

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self._answer_follows = tokenizer.encode(_ANSWER_FOLLOWS).ids
        self._end = tokenizer.token_to_id(END)
        first, *others = (tokenizer.encode(text).ids for text in texts)
        length = min(_common(first, other) for other in others)
        self.prefix: list[int] = first[:length]

    def branch(self, text: str) -> Branch:
        """Encode one conversation; every answer in it is to be learned, its end included."""
        ids = self.tokenizer.encode(text).ids
        weights = [0.0] * len(ids)
        mark = self._answer_follows
        at = 0
        while at < len(ids):
            if ids[at : at + len(mark)] != mark:
                at += 1
                continue
            at += len(mark)
            end = ids.index(self._end, at) + 1
            weights[at:end] = [FIRST_WEIGHT, *[1.0] * (end - at - 1)]
            at = end
        start = len(self.prefix)
        if ids[:start] != self.prefix:
            raise ValueError("The conversation does not begin with the common prefix.")
        return Branch(ids[start:], weights[start:])


def _common(a: list[int], b: list[int]) -> int:
    """Return how many tokens two sequences begin with alike."""
    return next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
