"""Memory: the instruction files that the model reads before it begins, and as it goes."""

from apr.memory.load import Memory, load, nested
from apr.memory.pieces import BUDGET, Piece, render, tokens

__all__ = ["BUDGET", "Memory", "Piece", "load", "nested", "render", "tokens"]
