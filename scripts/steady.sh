#!/usr/bin/env bash
# Runs the suite of the bus on every backend, and every other test that starts a broker, N times in a row and counts the
# failures: a test that fails now and then shows a promise that is kept only most of the time. Goes on after a failure,
# and then ends with 1.
#   scripts/steady.sh [N] [more for cargo nextest run]
set -uo pipefail
cd "$(dirname "$0")/.."

runs=${1:-20}
shift || true
folder=$(mktemp -d "${TMPDIR:-/tmp}/residual-steady.XXXXXX")
filter='(binary(brokers) | test(/^embedded::/)) & not test(/^random_kills::/)'

failed=0
for run in $(seq "$runs"); do
  log=$folder/run-$run.log
  cargo nextest run --locked --test it --test brokers -j6 -E "$filter" "$@" >"$log" 2>&1 || failed=$((failed + 1))
  # A run without a summary did not build; its last line says why.
  echo "run $run of $runs, $failed failed so far: $(grep -E '^ +Summary' "$log" || tail -n 1 "$log")"
done
[[ $failed == 0 ]] || { echo "$failed of $runs runs failed; what they said is in $folder" >&2; exit 1; }
rm -r "$folder"
echo "$runs runs in a row without a failure"
