#!/usr/bin/env bash
# SL only, +coarse, +fine, +adaptive on the starter tasks: 4 arms x 3 seeds, one after the other. Figures go to results.jsonl.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${OUT:-runs/rltf-starter}
steps=${STEPS:-8}
declare -A arms=(
  [sl]="--credit.no-coarse --credit.no-fine --credit.no-adaptive"
  [sl+coarse]="--credit.no-fine --credit.no-adaptive"
  [sl+coarse+fine]="--credit.no-adaptive"
  [sl+coarse+fine+adaptive]=""
)
for seed in 0 1 2; do
  for arm in sl sl+coarse sl+coarse+fine sl+coarse+fine+adaptive; do
    # shellcheck disable=SC2086
    .venv/bin/linewise train rltf --tasks starter --steps "$steps" --seed "$seed" --save-every 1000 \
      --evaluation.limit 80 --out "$out/$arm-$seed" ${arms[$arm]}
    rm -rf "$out/$arm-$seed/checkpoints" "$out/$arm-$seed/policy"
  done
done
.venv/bin/python experiments/rltf-starter/table.py "$out"
