#!/usr/bin/env bash
# Process-supervision-guided policy optimisation on the arena: start, PPO, value only, dense only, both; and PPO that spends what
# the labels cost on more steps. SEEDS, STEPS and LONG shorten it. The prediction stands in experiments/LOG.md, entry 8.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:-runs/psgpo-arena}
steps=${STEPS:-16}
long=${LONG:-48}
common=(--policy arena --tasks arena --precision no)
held_out=(--evaluation.limit 60 --evaluation.limit-seed 0 --evaluation.num-samples 8 --evaluation.sampling.temperature 1.0
  --evaluation.sampling.max-new-tokens 96)
rl=(--collection.sampling.max-new-tokens 96 --update.learning-rate 3e-4)
in_phase() { # in_phase PHASE FLAG VALUE ... : the flags of one phase
  local phase=$1 word
  shift
  for word in "$@"; do if [[ $word == --* ]]; then echo "--$phase.${word#--}"; else echo "$word"; fi; done
}
for seed in ${SEEDS:-0 1 2}; do
  run=$out/seed-$seed
  mkdir -p "$run"
  mapfile -t first < <(in_phase baseline "${common[@]}" "${held_out[@]}" "${rl[@]}" --steps "$steps" --seed "$seed")
  mapfile -t last < <(in_phase final "${rl[@]}" --steps "$steps")
  linewise train psgpo "${first[@]}" "${last[@]}" --label-limit 16 --label.sampling.max-new-tokens 96 --label.audits 0 \
    --prm.learning-rate 3e-4 --out "$run/both"
  prm=$run/both/$(cat "$run/both/prm.done")
  linewise train dense-ppo "${common[@]}" "${held_out[@]}" "${rl[@]}" --steps "$steps" --seed "$seed" --prm "$prm" \
    --out "$run/dense"
  linewise train ppo "${common[@]}" "${held_out[@]}" "${rl[@]}" --steps "$steps" --seed "$seed" --critic.init "$prm" \
    --critic.rescale --out "$run/value"
  linewise train ppo "${common[@]}" "${held_out[@]}" "${rl[@]}" --steps "$long" --seed "$seed" --out "$run/long"
  rm -rf "$run"/*/checkpoints "$run"/both/*/checkpoints
done
python "$here/../table.py" "$out" "PPO=seed-{seed}/both/baseline" "value only=seed-{seed}/value" "dense only=seed-{seed}/dense" \
  "both=seed-{seed}/both/final" "PPO, more steps=seed-{seed}/long" --seeds ${SEEDS:-0 1 2} --prm "seed-{seed}/both/prm"
