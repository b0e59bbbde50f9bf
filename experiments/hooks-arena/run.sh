#!/usr/bin/env bash
# Hooks of a training run with GRPO on the arena: each alone, against GRPO without any, for an equal number of sampled programs of the
# same tasks, which every run visits several times. The prediction stands in experiments/LOG.md, entry 11.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../arm.sh"
out=${OUT:-runs/hooks-arena}
settings=(--policy arena --tasks arena --limit-tasks 32 --steps 100 --max-programs "${BUDGET:-1024}" --save-every 1000 --precision no
  --update.learning-rate 3e-4 --collection.sampling.max-new-tokens 96 --evaluation.limit 60 --evaluation.limit-seed 0
  --evaluation.num-samples 8 --evaluation.sampling.temperature 1.0 --evaluation.sampling.max-new-tokens 96)
declare -A hooks=(
  [plain]=""
  [cccs]="--roll-in.kind cccs --roll-in.window 1"
  [jsrl]="--roll-in.kind jsrl --roll-in.num-stages 4 --roll-in.window 2"
  [jsrl-random]="--roll-in.kind jsrl_random"
  [roml]="--roml.alpha 0.2"
  [dynamic]="--collection.dynamic-sampling"
  [resets]="--reset.window 3 --reset.tolerance 0.02"
)
for seed in ${SEEDS:-0 1 2}; do
  for arm in plain cccs jsrl jsrl-random roml dynamic resets; do
    # shellcheck disable=SC2086
    train_arm "$out/$arm-$seed" "$out/plain-$seed" grpo "${settings[@]}" --seed "$seed" ${hooks[$arm]}
  done
done
python "$here/../table.py" "$out" "GRPO=plain-{seed}" "CCCS=cccs-{seed}" "JSRL=jsrl-{seed}" "random JSRL=jsrl-random-{seed}" \
  "RoML=roml-{seed}" "dynamic sampling=dynamic-{seed}" "resets=resets-{seed}" --seeds ${SEEDS:-0 1 2}
