"""Subcommands of `ccpa`, one module each."""
