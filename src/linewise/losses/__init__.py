"""Losses: pure functions on `[B, T]` tensors. Credit wrote the numbers; a loss executes them.

Shape legend: B sequences, T padded response tokens.

Every loss returns one number per token. An aggregation (`losses/aggregate.py`) turns the lengths of the *whole* step's
sequences into one scale per sequence, so that splitting a step into micro-batches or over processes changes nothing.
"""
