"""Two sets of log-probabilities -> how far they agree, and whether that is enough."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Array = NDArray[np.float32]

FLOOR = -87.0
"""The logarithm of the least normal 32-bit number: below it the engine says nothing exact."""
LEAST_COSINE = 0.9999
MOST_OFF = 0.1
"""In spreads (standard deviations) of the reference's own values. The cosine of 150,000 tokens
hardly moves when two of them change places; this does."""
EXACT = frozenset({"F32", "F16"})
"""Quantisations that are held to the bounds. BF16 is not: the engine rounds what it computes to
eight bits too, where the reference computes with 24. Others lose by design: they are reported."""


class Position(Struct, frozen=True, kw_only=True):
    """The next token after one prefix: the engine's distribution against the reference's."""

    prompt: int
    """Which prompt, counted from 0."""
    position: int
    """How many tokens of it the model had seen."""
    cosine: float
    """Of the log-probabilities, each with its mean taken off."""
    furthest: float
    """Of the token that is furthest off, in spreads of the reference's log-probabilities."""
    divergence: float
    """Kullback-Leibler, of the engine's distribution from the reference's, in nats."""
    same_first: bool
    """Whether both think the same token the likeliest."""


class Agreement(Struct, frozen=True, kw_only=True):
    """All positions summed up."""

    positions: int
    worst_cosine: float
    mean_cosine: float
    worst_furthest: float
    worst_divergence: float
    mean_divergence: float
    same_first: float
    """The part of positions where it is so."""


def compare(ours: Array, theirs: Array, *, prompt: int, position: int) -> Position:
    """Compare the engine's log-probabilities with the reference's: [vocabulary] each."""
    engine = np.maximum(ours.astype(np.float64), FLOOR)
    reference = np.maximum(theirs.astype(np.float64), FLOOR)
    a, b = engine - engine.mean(), reference - reference.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    spread = float(b.std())
    return Position(
        prompt=prompt,
        position=position,
        cosine=float(a @ b) / scale if scale else float(np.array_equal(a, b)),
        furthest=float(np.abs(a - b).max()) / spread if spread else float(np.abs(a - b).max()),
        divergence=max(0.0, float(np.exp(reference) @ (reference - engine))),
        same_first=bool(engine.argmax() == reference.argmax()),
    )


def summary(positions: Sequence[Position]) -> Agreement:
    """Sum up what was compared, of which there is something."""
    cosines = [position.cosine for position in positions]
    divergences = [position.divergence for position in positions]
    return Agreement(
        positions=len(positions),
        worst_cosine=min(cosines),
        mean_cosine=sum(cosines) / len(cosines),
        worst_furthest=max(position.furthest for position in positions),
        worst_divergence=max(divergences),
        mean_divergence=sum(divergences) / len(divergences),
        same_first=sum(position.same_first for position in positions) / len(positions),
    )


def passes(agreement: Agreement) -> bool:
    """Whether an exact model (`EXACT`) agrees well enough."""
    return agreement.worst_cosine >= LEAST_COSINE and agreement.worst_furthest <= MOST_OFF
