"""Values: what a state is worth. Importing this package imports no torch.

    classes        the four outcomes of a program
    programs       judged programs as training sequences, on disk and back
    outcome        the outcome critic of CodeRL: logits, max-pooling, probabilities (torch)
    score          a trained outcome critic at work on sampled programs (torch)

Shape legend: B sequences, L padded length, T response tokens, C = 4 outcomes.
"""
