"""How well the small policy of the arena writes, how fast it is, and how large.

    python benchmarks/arena_policy.py [--policy arena] [--limit 150] [--num-samples 8] [--threads 2]

pass@1 and pass@k of both splits at temperature 1, with 95 % bootstrap intervals over tasks, the verdicts, and tokens per second
of sampling; the speed of a forward and backward pass is `benchmarks/rollout.py --policy arena`'s.
"""

import argparse

import torch

from linewise.cli.pretrain import ensure_policy
from linewise.cli.quiet import quiet_libraries
from linewise.evaluation.evaluate import evaluate
from linewise.judge import LocalJudge
from linewise.policy.huggingface import load_policy
from linewise.policy.names import arena_folder
from linewise.rollout.prompts import PromptOptions, PromptStyle
from linewise.tasks import load_tasks
from linewise.training.seeds import subset
from linewise.types import Sampling


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="arena")
    parser.add_argument("--limit", type=int, default=150, help="tasks of each split, drawn by the seed 0")
    parser.add_argument("--num-samples", type=int, default=8)
    parser.add_argument("--temperature", type=float, nargs="+", default=[1.0])
    parser.add_argument("--splits", nargs="+", default=["heldout", "train"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    quiet_libraries()
    ensure_policy(options.policy)
    policy = load_policy(options.policy)
    if options.policy == "arena":
        size = sum(file.stat().st_size for file in arena_folder().iterdir())
        print(f"{size / 2**20:.1f} MiB on disk; torch {torch.__version__}, {options.threads} threads")
    with LocalJudge(workers=2) as judge:
        for split in options.splits:
            tasks = subset(load_tasks(f"arena@{split}"), options.limit, 0)
            for temperature in options.temperature:
                result = evaluate(
                    policy,
                    tasks,
                    judge,
                    num_samples=options.num_samples,
                    sampling=Sampling(temperature=temperature, max_new_tokens=96),
                    seed=0,
                    prompts=PromptOptions(style=PromptStyle.COMPLETION),
                )
                verdicts = ", ".join(f"{count} {name}" for name, count in result.verdicts.most_common())
                print(
                    f"{split}, {len(tasks)} tasks, temperature {temperature}: pass@1 {result.pass_at_k(1)}, "
                    f"pass@{options.num_samples} {result.pass_at_k(options.num_samples)}; {verdicts}; "
                    f"{result.num_tokens / result.seconds_generate:.0f} tokens/s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
