#!/bin/sh
# Methods that need a judge of their own, which half of the budget pays for, beside PPO: terms as in experiments/arena-small.
# Prediction and result stand in experiments/LOG.md, entry 14. SEEDS and BUDGET change its size.
set -e
OUT=${OUT:-runs/arena-judged}
linewise compare ppo dense-ppo psgpo process-grpo coderl \
    --policy arena --tasks arena --budget "${BUDGET:-1024}" --seeds "${SEEDS:-3}" --no-references \
    --max-new-tokens 96 --evaluation-temperature 1.0 --evaluation-limit 60 --evaluation-samples 8 --evaluations 2 \
    --precision no --out "$OUT"
