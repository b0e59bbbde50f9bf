#!/bin/sh
# Credit compared on the arena: equal programs, the same policy, tasks, rate and seeds. The page is $OUT/compare.html.
# Predictions and results stand in experiments/LOG.md, entries 7 and 9. SEEDS and BUDGET shorten it.
set -e
OUT=${OUT:-runs/arena-small}
linewise compare rltf reinforce grpo dapo reinforce++-baseline ppo stepcoder suspiciousness gspo vineppo \
    --policy arena --tasks arena --budget "${BUDGET:-1024}" --seeds "${SEEDS:-5}" --no-references --line-completions 3 \
    --max-new-tokens 96 --evaluation-temperature 1.0 --evaluation-limit 60 --evaluation-samples 8 --evaluations 2 \
    --precision no --out "$OUT"
