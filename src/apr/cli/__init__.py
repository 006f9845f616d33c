"""Subcommands of `apr`, one module each."""
