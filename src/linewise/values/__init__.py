"""Values: what a state is worth. Importing this package imports no torch.

    critic         a learned V(s_t) at every token, with a backbone of its own or the policy's
    monte_carlo    V of the state after each line, from fresh completions

Shape legend: B sequences, T padded response tokens, N response tokens of a batch.
"""
