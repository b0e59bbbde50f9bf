#!/usr/bin/env bash
# One RLTF run on real data: MBPP train split and ODEX, evaluated on MBPP test. Without a GPU it is scaled by STEPS and TASKS.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${OUT:-runs/rltf-mbpp}
.venv/bin/linewise train rltf --policy "${POLICY:-smollm2-135m}" --tasks mbpp@train odex --evaluation.tasks mbpp@test \
  --steps "${STEPS:-10}" --seed "${SEED:-0}" --evaluation.limit "${TASKS:-60}" --evaluation.num-samples 8 \
  --collection.prompts.style chat --collection.prompts.num-examples 1 \
  --collection.sampling.max-new-tokens 96 --evaluation.sampling.max-new-tokens 96 --evaluation.sampling.temperature 0.8 \
  --out "$out"
.venv/bin/python experiments/rltf-mbpp/table.py "$out"
