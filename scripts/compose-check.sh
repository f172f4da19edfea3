#!/usr/bin/env bash
# Brings each compose file up on a real engine and checks what a user is promised: rows and picture appear on the
# host, logs can be followed, three predictors share the work, killing the metric service and restarting the broker
# lose and double nothing. Takes everything down again. Needs docker, docker-compose and the base images.
#   scripts/compose-check.sh [docker-compose.yml docker-compose.nats.yml …]
set -euo pipefail
cd "$(dirname "$0")/.."
files=("$@")
[[ ${#files[@]} -gt 0 ]] || files=(docker-compose.yml docker-compose.nats.yml)
rows=${RESIDUAL_CHECK_ROWS:-400}
started=$SECONDS

say() { printf 'compose-check [%4ss] %s\n' $((SECONDS - started)) "$*" >&2; }
fail() {
  say "FAILED: $*"
  compose ps >&2 || true
  compose logs --tail=40 >&2 || true
  exit 1
}

# Each file runs in a copy of its own, so that the user's logs and containers are never touched.
compose() { docker-compose -p "$project" --project-directory "$work" -f "$work/$file" "$@"; }

clean_up() {
  [[ -n ${project:-} ]] && compose down --volumes --remove-orphans --timeout 10 >/dev/null 2>&1
  [[ -n ${work:-} ]] && rm -rf "$work"
  return 0
}
trap clean_up EXIT

await() {
  local what=$1 seconds=$2 deadline=$((SECONDS + $2))
  shift 2
  until "$@"; do
    ((SECONDS < deadline)) || fail "no $what within $seconds s"
    sleep 1
  done
  say "$what"
}

lines_in_log() { [[ -f $work/logs/metric_log.csv ]] && wc -l <"$work/logs/metric_log.csv" || echo 0; }
has_rows() { (($(lines_in_log) > $1)); }
has_picture() { [[ $(head -c 4 "$work/logs/error_distribution.png" 2>/dev/null | tail -c 3) == PNG ]]; }
sent_ids() { compose logs --no-color features 2>/dev/null | grep -o ' sent .*' | grep -o 'id=[^ ]*' | cut -d= -f2 | sort; }
logged_ids() { tail -n +2 "$work/logs/metric_log.csv" | cut -d, -f1 | sort; }
all_recorded() { [[ $(logged_ids | wc -l) -ge $rows ]]; }

check() {
  file=$1
  project=residual-check-$$
  work=$(mktemp -d)
  mkdir "$work/logs"
  cp -r Cargo.toml Cargo.lock Dockerfile .dockerignore docker docker-compose*.yml model data src "$work"
  # On this level every id is told, also those of a burst after an outage.
  export RESIDUAL_LOG_LEVEL=info,residual=debug,lapin=warn,async_nats=warn
  export RESIDUAL_INTERVAL=50ms RESIDUAL_COUNT=$rows RESIDUAL_REFRESH=1s RESIDUAL_PORT=0
  say "$file: up"
  compose up -d --scale predictor=3 >/dev/null
  await "first row on the host" 120 has_rows 1
  await "picture on the host" 30 has_picture
  compose logs --no-color metric | grep -q recorded || fail "the metric service's logs do not tell of recorded rows"
  compose kill -s SIGKILL metric >/dev/null 2>&1
  compose up -d --no-recreate --scale predictor=3 metric >/dev/null 2>&1
  say "metric was killed and is back"
  compose restart -t 10 "$broker" >/dev/null 2>&1
  say "$broker was restarted"
  await "all $rows rows" 180 all_recorded
  [[ $(logged_ids | uniq -d | wc -l) == 0 ]] || fail "ids are doubled in the log"
  diff <(sent_ids) <(logged_ids) >/dev/null || fail "ids in the log are not the ids that were sent"
  # The ledger's lock keeps others out while the service runs.
  compose stop -t 40 metric >/dev/null 2>&1
  compose run --rm --no-deps metric verify >/dev/null || fail "verify finds faults"
  [[ $(stat -c %u "$work/logs/metric_log.csv") == "$(stat -c %u "$work/logs")" ]] || fail "the log is not the user's"
  compose stop -t 40 >/dev/null 2>&1
  say "$file: every id once, $(docker image inspect -f '{{.Size}}' residual:local | numfmt --to=iec) image"
  clean_up
  unset project work
}

docker info >/dev/null 2>&1 || { echo "compose-check: no Docker engine answers" >&2; exit 1; }
say "build"
[[ -n ${RESIDUAL_CHECK_PREBUILT:-} ]] || docker build --quiet --network "${RESIDUAL_BUILD_NETWORK:-default}" --tag residual:local . >/dev/null
say "built"
for name in "${files[@]}"; do
  case $name in *nats*) broker=nats ;; *) broker=rabbitmq ;; esac
  check "$name"
done
say "all well"
