"""GGUF files that look like those of real models: their shapes, tensors, vocabularies."""
