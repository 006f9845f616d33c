"""Wires to models: a request goes out, a stream of model events comes in."""
