#!/usr/bin/env bash
# Critic sampling on the arena's held-out tasks against plain sampling at the same budget, three critics trained on samples of their
# own. The prediction stands in experiments/LOG.md, entry 12.
set -euo pipefail
out=${OUT:-runs/critic-sampling}
for seed in ${SEEDS:-0 1 2}; do
  run=$out/seed-$seed
  if [[ ! -e $run/finished.json ]]; then
    rm -rf "$run"
    linewise coderl critic --policy arena --tasks arena@train --limit "${TASKS:-200}" --num-samples 10 --max-new-tokens 96 \
      --prompts.style completion --learning-rate 3e-4 --epochs 4 --precision no --seed "$seed" --out "$run"
  fi
  linewise eval --policy arena --tasks arena@heldout --limit 100 --num-samples 8 --k 1 8 --temperature 1.0 --max-new-tokens 96 \
    --prompts.style completion --seed "$seed" --strategy critic-sampling --critic "$run/critic" --out "$run/evaluation.json"
done
