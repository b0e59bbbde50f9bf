"""The trainer: it executes what credit wrote and never asks for an algorithm's name. It needs torch.

Shape legend: B sequences, P padded prompt tokens, T padded response tokens.
"""
