"""Speed of sampling and of training a policy, and its peak memory.

    python benchmarks/rollout.py [--policy smollm2-135m] [--rows 32 128] [--new-tokens 64] [--threads 2]

Sampling: 16 prompts of about 50 tokens, as many completions of each as fill the rows; "prefill" is the share of the
time that goes by until the first tokens. Training: forward and backward pass of `response_logprobs` in bfloat16
autocast, 100 prompt and 60 response tokens in each row; tokens are counted with the prompt. The best of --repeats runs
is printed.
"""

import argparse
import resource
import time
from collections.abc import Callable

import torch

from linewise.policy.huggingface import HuggingFacePolicy
from linewise.policy.huggingface_load import LoadedModel, load_model
from linewise.policy.huggingface_logprobs import SequenceBatch, response_logprobs
from linewise.types import Prompt, Sampling

VERBS = (
    "reverses doubles sorts filters halves squares negates sums rotates shifts counts merges splits joins finds adds"
)
PROMPT = '"""Write a function that {} the numbers of a list. Return a new list, and leave the given one as it is.\n\n'
PROMPTS = [
    Prompt(task_id=verb, text=PROMPT.format(verb) + 'Example: f([1, 2]) == [2, 1]\n"""\ndef f(values):')
    for verb in VERBS.split()
]


def best_seconds(run: Callable[[], None], repeats: int) -> float:
    seconds = []
    for _ in range(repeats + 1):  # the first one warms up
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def sampling_row(policy: HuggingFacePolicy, rows: int, new_tokens: int, repeats: int) -> str:
    policy.max_batch_rows = rows
    num_tokens = 0

    def run(max_new_tokens: int) -> None:
        nonlocal num_tokens
        groups = policy.generate(
            PROMPTS,
            num_samples=rows // len(PROMPTS),
            sampling=Sampling(max_new_tokens=max_new_tokens),
            seed=0,
            is_complete=lambda prompt, text: False,
        )
        num_tokens = sum(len(completion.token_ids) for group in groups for completion in group)

    first = best_seconds(lambda: run(1), repeats)
    whole = best_seconds(lambda: run(new_tokens), repeats)
    rate, share = num_tokens / whole, first / whole
    return f"sampling, {rows:4} rows  {rate:8.0f} tokens/s   prefill {share:4.0%}   {peak_gb():.1f} GB"


def training_row(loaded: LoadedModel, rows: int, repeats: int) -> str:
    prompt_tokens, response_tokens = 100, 60
    generator = torch.Generator().manual_seed(0)
    size = loaded.model.config.vocab_size
    batch = SequenceBatch(
        prompt_ids=torch.randint(5, size, (rows, prompt_tokens), generator=generator),
        prompt_mask=torch.ones(rows, prompt_tokens, dtype=torch.bool),
        response_ids=torch.randint(5, size, (rows, response_tokens), generator=generator),
        response_mask=torch.ones(rows, response_tokens, dtype=torch.bool),
    )

    def run() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logprobs = response_logprobs(loaded.model, batch).logprobs
        logprobs.mean().backward()

    rate = rows * (prompt_tokens + response_tokens) / best_seconds(run, repeats)
    return f"training, {rows:4} rows  {rate:8.0f} tokens/s                  {peak_gb():.1f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="smollm2-135m")
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--train-rows", type=int, default=12)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    loaded = load_model(options.policy)
    policy = HuggingFacePolicy(loaded.model, loaded.tokenizer)
    print(f"{options.policy}, torch {torch.__version__}, {options.threads} threads")
    for rows in options.rows:
        print(sampling_row(policy, rows, options.new_tokens, options.repeats), flush=True)
    print(training_row(loaded, options.train_rows, options.repeats), flush=True)


if __name__ == "__main__":
    main()
