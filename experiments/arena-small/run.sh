#!/bin/sh
# Credit compared on the arena: equal programs, the same policy, tasks, rate and seeds. The page is $OUT/compare.html.
# The prediction stands in experiments/LOG.md, entry 7. SEEDS and BUDGET shorten it.
set -e
OUT=${OUT:-runs/arena-small}
linewise compare rltf reinforce grpo dapo reinforce++-baseline ppo stepcoder suspiciousness vineppo \
    --policy arena --tasks arena --budget "${BUDGET:-1024}" --seeds "${SEEDS:-3}" --no-references --line-completions 3 \
    --max-new-tokens 96 --evaluation-temperature 1.0 --evaluation-limit 60 --evaluation-samples 8 --evaluations 2 \
    --precision no --out "$OUT"
