"""The local inference engine: a process of its own that serves one GGUF over loopback HTTP."""
