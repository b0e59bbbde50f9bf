"""Linewise: reinforcement learning for code models from unit tests, with credit line by line."""

__version__ = "0.1.0"
