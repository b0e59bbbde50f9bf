# Sourced by experiments: one run of an arm.

# train_arm RUN START RECIPE FLAG ...: train, unless RUN has its report; an interrupted run is made anew. Arms of a seed start from
# one policy and share random numbers, so that the start, evaluated in the run START, is not evaluated again.
train_arm() {
  local run=$1 start=$2/evaluations/step-000000.json
  shift 2
  if [[ ! -e $run/report.html ]]; then
    rm -rf "$run"
    mkdir -p "$run/evaluations"
    if [[ -e $start ]]; then cp "$start" "$run/evaluations/"; fi
    linewise train "$@" --out "$run"
  fi
  rm -rf "$run/checkpoints" "$run/policy"
}
