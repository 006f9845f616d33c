"""Agents that work for an agent: with a context of their own, and tools that they are given."""
