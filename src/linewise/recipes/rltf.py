"""RLTF (Liu et al. 2023, arXiv:2307.04349) as a run. The credit is `credit/rltf.py`; the numbers stand here.

Deviations from the paper's run, beside those of the credit:

R1. 16 tasks x 4 programs a step instead of 256 sequences of 20 programs a problem: a step takes a minute or less on a CPU.
R2. Learning rate 4e-5 instead of 2e-6, warm-up 2 steps instead of 500: tens of updates instead of tens of thousands.
R3. The buffer is on-policy by default (every sample is used once, by the next update) instead of holding 6400 samples;
    `--buffer.capacity 6400 --buffer.warmup 6400 --buffer.max-staleness N` gives the paper's.
R4. top-p 1 instead of 0.95, so that the sampled distribution is the policy's own.
R5. L_sl and L_rl are added in every update; the paper alternates them over micro-steps.
"""

from linewise.credit.rltf import RLTF
from linewise.losses.aggregate import Aggregation
from linewise.rollout.baselines import BaseProgram
from linewise.rollout.buffer import BufferOptions
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.training.config import CollectionOptions, EvaluationOptions, Recipe, SupervisedOptions, UpdateOptions
from linewise.types import Sampling


def rltf() -> Recipe[RLTF]:
    """RLTF: online RL from multi-granularity unit-test feedback (arXiv:2307.04349).

    Sized so that SmolLM2-135M learns within minutes on two cores.
    """
    return Recipe(
        credit=RLTF(),
        steps=8,
        collection=CollectionOptions(
            tasks_per_step=16,  # paper: 256 sequences a step (R1)
            num_samples=4,  # paper: 20 (R1)
            sampling=Sampling(temperature=1.0, top_p=1.0, max_new_tokens=64),  # paper: 1.0, 0.95, 512 (R4)
            prompts=PromptOptions(style=PromptStyle.COMPLETION),
            base_program=BaseProgram.BEST_SO_FAR,  # paper: historical optimal
        ),
        buffer=BufferOptions(capacity=64, warmup=64, max_staleness=0, max_uses=1),  # paper: 6400 (R3)
        supervised=SupervisedOptions(references_per_step=16, weight=1.0),  # paper: no weights between the terms
        evaluation=EvaluationOptions(
            sampling=Sampling(temperature=0.6, max_new_tokens=64)
        ),  # paper: 0.6 (APPS), 1.2 (MBPP)
        update=UpdateOptions(
            samples_per_step=64,  # paper: 256 (R1)
            learning_rate=4e-5,  # paper: 2e-6 (R2)
            weight_decay=0.05,  # paper: 0.05
            warmup_steps=2,  # paper: 500 (R2)
            aggregation=Aggregation.SEQUENCE_SUM,  # paper: the sum over tokens of L_rl
            tokens_per_micro_batch=1024,  # a laptop's memory; a GPU takes 4096 and more
        ),
    )
