"""How good a policy is: unbiased pass@k with intervals, paired comparisons, and the page that draws a run. No torch."""
