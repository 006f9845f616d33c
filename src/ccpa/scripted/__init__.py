"""A model server that speaks recorded turns: the same answers to any agent, every time."""
