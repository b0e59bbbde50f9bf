#!/usr/bin/env bash
# Many line labels on the arena: one process reward model of the starting policy's programs, then PPO, value only, dense only, both.
# What the labels cost is told and not charged: the question is whether a model that has learned something helps. The
# prediction stands in experiments/LOG.md, entry 13.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../arm.sh"
out=${OUT:-runs/psgpo-labels}
common=(--policy arena --tasks arena --precision no --save-every 1000 --steps "${STEPS:-16}" --update.learning-rate 3e-4
  --collection.sampling.max-new-tokens 96 --evaluation.limit 100 --evaluation.limit-seed 0 --evaluation.num-samples 8
  --evaluation.sampling.temperature 1.0 --evaluation.sampling.max-new-tokens 96)
mkdir -p "$out"
linewise prm label --policy arena --tasks arena@train --limit "${LABEL_TASKS:-300}" --num-samples 4 --completions 8 --first-chunk 4 \
  --audits 0 --max-new-tokens 96 --prompts.style completion --selection full --out "$out/labels.jsonl"
# Correct programs too: without them the model would call every line of a finished program a fault.
if [[ ! -e $out/prm/finished.json ]]; then
  rm -rf "$out/prm"
  linewise prm train --labels "$out/labels.jsonl" --kinds revised correct --policy arena --learning-rate 3e-4 --epochs 8 \
    --held-out-share 0.2 --precision no --out "$out/prm"
fi
declare -A arms=(
  [ppo]="ppo"
  [value]="ppo --critic.init $out/prm/prm --critic.rescale"
  [dense]="dense-ppo --prm $out/prm/prm"
  [both]="dense-ppo --prm $out/prm/prm --critic.init $out/prm/prm --critic.rescale"
)
for seed in ${SEEDS:-0 1 2}; do
  for arm in ppo value dense both; do
    # shellcheck disable=SC2086
    train_arm "$out/$arm-$seed" "$out/ppo-$seed" ${arms[$arm]} "${common[@]}" --seed "$seed"
  done
done
python "$here/../table.py" "$out" "PPO=ppo-{seed}" "value only=value-{seed}" "dense only=dense-{seed}" "both=both-{seed}" \
  --seeds ${SEEDS:-0 1 2} --prm prm
