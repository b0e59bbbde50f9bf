"""Values: what a state is worth. Importing this package imports no torch.

    critic         a learned V(s_t) at every token, with a backbone of its own or the policy's
    monte_carlo    V of the state after each line, from fresh completions
    evaluator      the same, from a process reward model
    classes        the four outcomes of a program
    programs       judged programs as training sequences, on disk and back
    outcome        the outcome critic of CodeRL: logits, max-pooling, probabilities (torch)
    score          a trained outcome critic at work on sampled programs (torch)

Shape legend: B sequences, L padded length, T padded response tokens, N response tokens of a batch, C = 4 outcomes.
"""
