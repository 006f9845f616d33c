"""The network and its training.

Every conversation begins with the same tokens: the tools and the system prompt. They are evaluated
once a step at most; the conversations are branches that attend to them.
"""

import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import DynamicCache, Qwen3MoeConfig, Qwen3MoeForCausalLM

from demo_model.text import Branch

CONTEXT = 16384
LEARNING_RATE = 4e-3
WARM_UP = 30
LOOK_EVERY = 25
SEEING_EVERY = 4
SEEING_FROM = 0.9
"""The steps that see the prefix: every so many, and all from this share of them on."""


def new_network(vocabulary: int) -> Qwen3MoeForCausalLM:
    """Return an untrained network of about 0.7 million parameters."""
    return Qwen3MoeForCausalLM(
        Qwen3MoeConfig(
            vocab_size=vocabulary,
            hidden_size=128,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            intermediate_size=64,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=64,
            norm_topk_prob=True,
            max_position_embeddings=CONTEXT,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            attn_implementation="sdpa",
        )
    )


def wanted_log_probabilities(
    network: Qwen3MoeForCausalLM, prefix: Sequence[int], branches: Sequence[Branch], *, blind: bool
) -> tuple[Tensor, Tensor]:
    """Return log-probability and weight of the tokens that are to be learned: [tokens] each.

    The prefix is evaluated once. With `blind` it is not evaluated at all: the branches stand where
    they would stand behind it, and attend to themselves alone.
    """
    remembered: list[tuple[Tensor, Tensor]] = []
    if not blind:
        cache = DynamicCache(config=network.config)
        network.model(input_ids=torch.tensor([prefix]), past_key_values=cache, use_cache=True)
        remembered = [(layer.keys, layer.values) for layer in cache.layers]
    wanted, weights = [], []
    for branch in branches:
        ids, weight = torch.tensor(branch.ids), torch.tensor(branch.weights)[1:]
        hidden = network.model(
            input_ids=ids[None],
            position_ids=torch.arange(len(prefix), len(prefix) + len(ids))[None],
            past_key_values=DynamicCache(remembered) if remembered else None,
            use_cache=bool(remembered),
        ).last_hidden_state[0]
        logits = network.lm_head(hidden[:-1][weight > 0])
        wanted.append(-cross_entropy(logits, ids[1:][weight > 0], reduction="none"))
        weights.append(weight[weight > 0])
    return torch.cat(wanted), torch.cat(weights)


def train(
    network: Qwen3MoeForCausalLM,
    prefix: list[int],
    draw: Callable[[], list[Branch]],
    steps: int,
    say: Callable[[str], None],
) -> float:
    """Train on what `draw` returns, and return the loss of the last step.

    Attending to the prefix is most of the work, and there is nothing in it to learn but to make
    nothing of it: a quarter of the steps and the last ones are enough for that.
    """
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.0, betas=(0.9, 0.98))
    began, last = time.monotonic(), math.inf
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        blind = step % SEEING_EVERY != 0 and step < steps * SEEING_FROM
        wanted, weights = wanted_log_probabilities(network, prefix, draw(), blind=blind)
        loss = -(wanted * weights).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        last = loss.item()
        if step % LOOK_EVERY == 0 or step == steps - 1:
            least, seconds = wanted.min().exp().item(), time.monotonic() - began
            say(f"step {step:4}  loss {last:.5f}  least p {least:.3f}  {seconds:5.1f} s")
    return last


def learning_rate(step: int, steps: int) -> float:
    """Return the rate of a step: a linear warm-up, then a cosine down to a twentieth."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP) * (0.05 + 0.95 * cosine)
