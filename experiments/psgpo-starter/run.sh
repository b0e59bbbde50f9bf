#!/usr/bin/env bash
# Process-supervision-guided policy optimisation with a real model on the starter tasks: supervised start, PPO, value only, dense
# only, both. One process reward model, trained on labels of the first seed's PPO policies, serves all seeds, as the paper trains
# one. SEEDS, STEPS, PROGRAMS and TASKS size it; finished runs are kept. The prediction stands in experiments/LOG.md, entry 10.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../arm.sh"
out=${OUT:-runs/psgpo-starter}
steps=${STEPS:-5}
programs=${PROGRAMS:-32}
common=(--tasks starter --steps "$steps" --save-every 1000 --critic.warmup-steps 1 --update.epochs 1 --update.minibatches 2
  --collection.tasks-per-step "$((programs / 4))" --buffer.capacity "$programs" --buffer.warmup "$programs"
  --update.samples-per-step "$programs")
held_out=(--evaluation.limit "${TASKS:-60}" --evaluation.limit-seed 0 --evaluation.num-samples 4)
once() { # once DONE COMMAND ...: run the command unless DONE exists; what an interrupted one left goes
  local done=$1
  shift
  [[ -e $done ]] || { rm -rf "${done%/*}" && "$@"; }
}
train() { # train ARM RECIPE FLAG ...: from the supervised start, of the seed of the loop
  local arm=$1 recipe=$2
  shift 2
  train_arm "$out/$arm-$seed" "$out/ppo-$seed" "$recipe" --policy "$out/sft/policy" "${common[@]}" "${held_out[@]}" --seed "$seed" "$@"
}
# The supervised start: RLTF's updates of references alone.
once "$out/sft/report.html" linewise train rltf --policy smollm2-135m --tasks starter --steps "${SFT_STEPS:-3}" --save-every 1000 \
  --credit.no-coarse --credit.no-fine --credit.no-adaptive --evaluation.num-samples 0 --out "$out/sft"
seeds=(${SEEDS:-0 1 2})
for seed in "${seeds[@]}"; do
  exports=()
  if [[ $seed == "${seeds[0]}" ]]; then exports=(--export-every 2); fi
  train ppo ppo "${exports[@]}"
  if [[ $seed == "${seeds[0]}" ]]; then
    linewise prm label --policy "$out/ppo-$seed"/policies/* --tasks starter@train --limit "${LABEL_TASKS:-24}" --num-samples 4 \
      --completions 4 --first-chunk 4 --audits 0 --max-new-tokens 64 --prompts.style completion --selection full \
      --out "$out/labels.jsonl"
    # Of 192 programs none could be repaired at a later line than its first, so that the paper's selection is empty.
    once "$out/prm/report.html" linewise prm train --labels "$out/labels.jsonl" --kinds correct revised wrong \
      --policy "$out/sft/policy" --learning-rate 3e-5 --programs-per-step 16 --held-out-share 0.2 --out "$out/prm"
  fi
  train value ppo --critic.init "$out/prm/prm" --critic.rescale
  train dense dense-ppo --prm "$out/prm/prm"
  train both dense-ppo --prm "$out/prm/prm" --critic.init "$out/prm/prm" --critic.rescale
done
python "$here/../table.py" "$out" "PPO=ppo-{seed}" "value only=value-{seed}" "dense only=dense-{seed}" "both=both-{seed}" \
  --seeds "${seeds[@]}" --prm prm
