"""Keeps the libraries' own progress bars and advice out of a command's output."""

import logging


def quiet_libraries() -> None:
    """Switch off what transformers and accelerate print about every file they read and write; errors stay."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    # Accelerate warns at every checkpoint of a model with tied weights that these are stored once, as they should be.
    logging.getLogger("accelerate").setLevel(logging.ERROR)
