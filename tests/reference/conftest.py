"""Skips this folder where the `reference` extra is not installed, and ends its engines."""

from pathlib import Path

import pytest

for module in ("torch", "transformers", "tokenizers"):
    pytest.importorskip(module)
