"""The tools a model may use, one module each."""
