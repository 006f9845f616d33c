"""Sinks of the event stream: what people and programs see of a run."""
