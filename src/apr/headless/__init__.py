"""Runs without a person at a terminal: for a script, or for a program that drives the agent."""
