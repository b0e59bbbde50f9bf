"""Credit assignment: one paper per file. Each turns a group of judged programs into per-token numbers; none imports torch.

Shape legend: G rollouts of a group, T tokens of one completion.
"""
