#!/usr/bin/env bash
# SL only, +coarse, +fine, +adaptive on the starter tasks: 4 arms x 3 seeds, one after the other; prints the table in the end.
# The arms of a seed start from the same policy and are evaluated with the same random numbers, so its first evaluation
# is made once and copied.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${OUT:-runs/rltf-starter}
steps=${STEPS:-4}
tasks=${TASKS:-71}
declare -A arms=(
  [sl]="--credit.no-coarse --credit.no-fine --credit.no-adaptive"
  [sl+coarse]="--credit.no-fine --credit.no-adaptive"
  [sl+coarse+fine]="--credit.no-adaptive"
  [sl+coarse+fine+adaptive]=""
)
for seed in ${SEEDS:-0 1 2}; do
  for arm in sl sl+coarse sl+coarse+fine sl+coarse+fine+adaptive; do
    run=$out/$arm-$seed
    mkdir -p "$run/evaluations"
    if [ "$arm" != sl ]; then cp "$out/sl-$seed/evaluations/step-000000.json" "$run/evaluations/"; fi
    # shellcheck disable=SC2086
    .venv/bin/linewise train rltf --tasks starter --steps "$steps" --seed "$seed" --save-every 1000 \
      --evaluation.limit "$tasks" --out "$run" ${arms[$arm]}
    rm -rf "$run/checkpoints" "$run/policy"
  done
done
.venv/bin/python experiments/rltf-starter/table.py "$out"
