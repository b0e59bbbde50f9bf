"""The process reward model: line labels by search, the model that learns them, and what it is used for.

Source: Dai et al., "Process Supervision-Guided Policy Optimization for Code Generation", arXiv:2410.17621.
"""
