"""From sessions to a model file."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from apr.tools.registry import BUILTIN, specs
from demo_model.network import new_network, train
from demo_model.sessions import Session, digest, load_material
from demo_model.text import Branch, Encoder, Renderer, train_tokenizer
from demo_model.variation import Variation
from demo_model.weights import write


def train_and_write(
    path: Path,
    sessions: Sequence[Session],
    *,
    seed: int,
    steps: int,
    say: Callable[[str], None],
) -> float:
    """Train a network on the sessions, write it, and return the loss of the last step."""
    torch.manual_seed(seed)
    variation = Variation(load_material(), seed)
    render = Renderer(specs(BUILTIN))
    texts = [render(conversation) for _ in range(20) for conversation in variation.batch(sessions)]
    tokenizer = train_tokenizer(texts)
    encoder = Encoder(tokenizer, texts)

    def draw() -> list[Branch]:
        return [encoder.branch(render(conversation)) for conversation in variation.batch(sessions)]

    network = new_network(tokenizer.get_vocab_size())
    size = sum(parameter.numel() for parameter in network.parameters())
    say(f"{len(sessions)} sessions, {len(encoder.prefix)} tokens of prefix, {size:,} parameters")
    loss = train(network, encoder.prefix, draw, steps, say)
    write(path, network, tokenizer, digest(specs(BUILTIN)))
    return loss
