#!/usr/bin/env bash
# Brings each compose file up on a real engine and checks what a user is promised: rows, picture and page appear on the
# host, files are the user's, three predictors share the work, killing the metric service and restarting the broker
# lose and double nothing, a stop drains, a second start continues the same log, no password is printed anywhere.
# Needs docker, docker-compose (or `docker compose`) and the base images. Takes down what it brought up and removes the
# image that it built.
#   scripts/compose-check.sh [docker-compose.yml docker-compose.nats.yml …]
#   RESIDUAL_CHECK_IMAGE=NAME   use this image instead of building one
#   RESIDUAL_CHECK_KEEP=1       keep the image, so that the next build is short
#   RESIDUAL_BUILD_NETWORK=host the network of the build
#   COMPOSE=COMMAND             which compose to use
set -euo pipefail
cd "$(dirname "$0")/.."
files=("$@")
[[ ${#files[@]} -gt 0 ]] || files=(docker-compose.yml docker-compose.nats.yml)
rows=${RESIDUAL_CHECK_ROWS:-200}
compose_command=${COMPOSE:-$(command -v docker-compose >/dev/null && echo docker-compose || echo docker compose)}
started=$SECONDS

say() { printf 'compose-check [%4ss] %s\n' $((SECONDS - started)) "$*" >&2; }
fail() {
  say "FAILED: $*"
  [[ -z ${project:-} ]] || { compose ps && compose logs --no-color --tail=15; } >&2 || true
  exit 1
}

# --- setting up and taking down ------------------------------------------------------------------------------------

# Each file runs in a copy of its own, so that the user's logs and containers are never touched.
compose() { (cd "$work" && $compose_command -p "$project" -f "$file" "$@"); }

take_down() {
  [[ -z ${project:-} ]] || compose down --volumes --remove-orphans --timeout 10 >/dev/null 2>&1 || true
  [[ -z ${work:-} ]] || rm -rf "$work"
  unset project work
}

clean_up() {
  take_down
  [[ -z ${built:-} || -n ${RESIDUAL_CHECK_KEEP:-} ]] || docker rmi residual:check residual:check-build >/dev/null 2>&1 || true
}
trap clean_up EXIT

# One image for all services and both files. The first stage has a tag of its own so that it can be removed again.
build() {
  local build=(docker build --quiet --network "${RESIDUAL_BUILD_NETWORK:-default}")
  built=1
  "${build[@]}" --target build --tag residual:check-build . >/dev/null
  say "the binary is compiled"
  "${build[@]}" --tag residual:check . >/dev/null
  RESIDUAL_IMAGE=residual:check
}

size_mb() { numfmt --to=si --format=%.1f "$1"; }
tell_sizes() {
  local image binary
  image=$(docker image inspect -f '{{.Size}}' "$RESIDUAL_IMAGE")
  binary=$(docker run --rm --network none --entrypoint stat "$RESIDUAL_IMAGE" -c %s /usr/local/bin/residual)
  say "image $(size_mb "$image")B, of which the binary is $(size_mb "$binary")B"
}

# --- questions ---------------------------------------------------------------------------------------------------

# Waits as long as it takes on a slow machine; a fast one does not wait.
await() {
  local what=$1 deadline=$((SECONDS + 300))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || fail "not within 300 s: $what"
    sleep 1
  done
  say "$what"
}

ids_of() { compose ps -a -q "$@"; }
# Straight from the engine: the same for every compose, and nothing is cut off.
logs_of() { for id in $(ids_of "$1"); do docker logs "$id" 2>&1; done; }
# As `id=… y_true=…`, whether or not the line is coloured.
sent_ids() { logs_of features | grep ' sent ' | grep -o 'id=[^ ]*' | cut -d= -f2 | sort; }
logged_ids() { tail -n +2 "$work/logs/metric_log.csv" | cut -d, -f1 | sort; }
has_rows() { [[ -f $work/logs/metric_log.csv ]] && (($(logged_ids | wc -l) >= $1)); }
# A row can be in the log before its sender has heard from the broker that it is confirmed, and logs that.
has_all_sent() { has_rows "$1" && (($(sent_ids | wc -l) >= $1)); }
has_picture() { [[ $(head -c 4 "$work/logs/error_distribution.png" 2>/dev/null | tail -c 3) == PNG ]]; }
is_ready() { page /readyz >/dev/null; }
page() { curl --silent --fail --max-time 5 "http://$(compose port plot 8080)$1"; }
is_healthy() {
  local id
  for id in $(ids_of "$broker" predictor metric plot); do
    [[ $(docker inspect -f '{{.State.Health.Status}}' "$id") == healthy ]] || return 1
  done
}

each_id_once() {
  [[ -z $(logged_ids | uniq -d) ]] || fail "ids are doubled in the log"
  diff <(sent_ids) <(logged_ids) >/dev/null || fail "the ids in the log are not the ids that were sent"
}

each_predictor_worked() {
  local id
  for id in $(ids_of predictor); do
    docker logs "$id" 2>&1 | grep ' predicted ' >/dev/null || fail "one of the predictors did nothing"
  done
}

files_are_the_users() {
  local foreign
  foreign=$(find "$work/logs" -mindepth 1 ! -uid "$(stat -c %u "$work/logs")")
  [[ -z $foreign ]] || fail "not the user's: $foreign"
}

# Neither the logs of the services nor what the engine knows of them contain the password.
no_password_is_told() {
  local id
  for id in $(ids_of); do
    if { docker logs "$id" 2>&1; docker inspect "$id"; docker top "$id" -eo args 2>&1; } | grep -F "$secret_core" >/dev/null; then
      fail "a password is printed by $(docker inspect -f '{{.Name}}' "$id")"
    fi
  done
  compose run --rm --no-deps -T predictor check >"$work/check" 2>&1 || fail "check: $(cat "$work/check")"
  grep -q '^ok *bus' "$work/check" || fail "check says nothing of the bus: $(cat "$work/check")"
  ! grep -qF "$secret_core" "$work/check" || fail "check prints the password"
}

stops_with_a_drain() {
  local service id code
  compose stop >/dev/null 2>&1
  for service in features predictor metric plot; do
    for id in $(ids_of "$service"); do
      code=$(docker inspect -f '{{.State.ExitCode}}' "$id")
      [[ $code == 0 ]] || fail "$service ended with $code instead of a drain"
    done
  done
}

tell_memory() {
  say "memory: $(docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' $(docker ps -q --filter "name=$project") |
    sed -E 's/^[^ ]*check-[0-9]+[-_]//; s| / .*||' | sort | paste -sd, | sed 's/,/, /g')"
}

# --- the check of one file -----------------------------------------------------------------------------------------

volumes() { docker volume ls -q | sort; }

prepare() {
  before=$(volumes)
  project=residual-check-$$
  work=$(mktemp -d)
  mkdir "$work/logs" "$work/secrets"
  cp -r docker docker-compose*.yml model "$work"
  # A user of another machine may have another user id than the one who runs this.
  [[ $(id -u) != 0 ]] || chown 12345:12345 "$work/logs"
  secret_core=check-$RANDOM$RANDOM
  # No colon: RabbitMQ's settings take what stands before one for a kind of encoding.
  printf '%s @/"\\#%%41\n' "$secret_core" >"$work/secrets/broker_password"
  export BROKER_USER=somebody BROKER_PASSWORD_FILE=./secrets/broker_password
  export RESIDUAL_IMAGE RESIDUAL_INTERVAL=50ms RESIDUAL_COUNT=$rows RESIDUAL_REFRESH=1s
  # Any free port: the user's own pipeline may run beside this.
  export RESIDUAL_PORT=0 RABBITMQ_PORT=0 RABBITMQ_UI_PORT=0 NATS_PORT=0 NATS_MONITOR_PORT=0
  # On this level every id is logged, also those of a burst after an outage.
  export RESIDUAL_LOG_LEVEL=info,residual=debug
}

first_life() {
  local since=$SECONDS
  [[ -z $(compose config 2>&1 >/dev/null) ]] || fail "compose warns: $(compose config 2>&1 >/dev/null)"
  compose up -d --no-build --scale predictor=3 >"$work/up" 2>&1 || fail "up: $(tail -n 3 "$work/up")"
  await "$file: first row on the host" has_rows 1
  say "$((SECONDS - since)) s from up to the first row"
  await "picture on the host" has_picture
  await "page on this machine" is_ready
  logs_of metric | grep ' recorded ' >/dev/null || fail "the logs of metric do not mention recorded rows"
  compose kill -s SIGKILL metric >/dev/null 2>&1
  compose up -d --no-build --no-recreate --scale predictor=3 metric >/dev/null 2>&1
  say "metric was killed and is back"
  compose restart -t 10 "$broker" >/dev/null 2>&1
  say "$broker was restarted"
  await "all $rows rows" has_all_sent "$rows"
  each_id_once
  each_predictor_worked
  await "everything is healthy" is_healthy
  tell_memory
}

second_life() {
  stops_with_a_drain
  say "everything was stopped and had drained"
  compose up -d --no-build --scale predictor=3 >/dev/null 2>&1 || fail "second up"
  await "another $rows rows in the same log" has_all_sent $((2 * rows))
  each_id_once
}

check() {
  file=$1
  case $file in *nats*) broker=nats ;; *) broker=rabbitmq ;; esac
  prepare
  first_life
  second_life
  files_are_the_users
  no_password_is_told
  # The ledger's lock keeps others out while the service runs.
  compose stop metric >/dev/null 2>&1
  compose run --rm --no-deps -T metric verify >"$work/verify" 2>&1 || fail "verify: $(cat "$work/verify")"
  say "$file: every id once. $(tail -n 1 "$work/verify")"
  compose down >/dev/null 2>&1
  [[ $(volumes) == "$(printf '%s\n' $before "${project}_$broker" | sort)" ]] || fail "down leaves other volumes than the broker's: $(volumes)"
  take_down
  left=$(docker ps -aq --filter "name=residual-check-$$"; docker volume ls -q --filter "name=residual-check-$$"; docker network ls -q --filter "name=residual-check-$$")
  [[ -z $left ]] || fail "left behind: $left"
}

docker info >/dev/null 2>&1 || { echo "compose-check: no Docker engine answers" >&2; exit 1; }
if [[ -n ${RESIDUAL_CHECK_IMAGE:-} ]]; then
  RESIDUAL_IMAGE=$RESIDUAL_CHECK_IMAGE
else
  say "build"
  build
fi
tell_sizes
for name in "${files[@]}"; do check "$name"; done
say "all well"
