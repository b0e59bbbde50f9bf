"""The process reward model: line labels, the model that learns them, its scores (arXiv:2410.17621)."""
