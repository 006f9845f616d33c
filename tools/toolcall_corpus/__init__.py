"""The corpus of tool calls in tests/apr/providers/toolcalls/corpus, and parsers to judge by it."""
