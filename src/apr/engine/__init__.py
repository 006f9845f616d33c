"""The local inference engine: a process of its own that loads one GGUF file and serves HTTP."""
