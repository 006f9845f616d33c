"""The agent: its loop, its history, its permissions."""
